"""Reads and writes a report as JSON; other schema versions are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mm_edge.bounded_read import read_bounded
from mm_edge.errors import UsageError

from .figure import SCHEMA, Report

if TYPE_CHECKING:
    from pathlib import Path


MOST_BYTES = 16 << 20


class _SchemaOnly(msgspec.Struct):
    schema: int


def write_report(path: Path, report: Report) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    except OSError as error:
        raise UsageError(f"{error.strerror}", action=f"writing {path}", hint="Choose a writable path") from None


def read_report(path: Path) -> Report:
    action = f"reading the report {path}"
    try:
        content = read_bounded(path, MOST_BYTES)
        schema = msgspec.json.decode(content, type=_SchemaOnly).schema
        if schema != SCHEMA:
            raise UsageError(
                f"schema {schema}, expected schema {SCHEMA}", action=action, hint="Measure it again with this version"
            )
        return msgspec.json.decode(content, type=Report)
    except OSError as error:
        raise UsageError(f"{error.strerror}", action=action, hint="Create one: mm-edge bench --json FILE") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{error}", action=action, hint="Create one: mm-edge bench --json FILE") from None
