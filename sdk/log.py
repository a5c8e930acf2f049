"""Logging: human-readable on a terminal, JSON lines otherwise."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

from .redact import redact

ROOT = "mm_edge"


class Redacted(logging.Filter):
    """Rewrites the message, so that every formatter shows the redacted one."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


class JsonLines(logging.Formatter):
    """One JSON object per line, for journald and log shippers."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(level: str = "info") -> None:
    """Called once by the command line; a program that uses the library configures its own logging."""
    handler: logging.Handler
    if sys.stderr.isatty():
        from rich.logging import RichHandler

        from .console import SafeConsole

        handler = RichHandler(
            console=SafeConsole(stderr=True), show_path=False, log_time_format="%H:%M:%S", rich_tracebacks=False
        )
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
    handler.addFilter(Redacted())
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
