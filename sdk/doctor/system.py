"""Reads files of /proc and /sys, command output and libraries (in a separate process) without raising."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path("/")  # tests set another root here
PROBE_SECONDS = 30.0
COMMAND_SECONDS = 5.0


def read(path: str) -> str | None:
    """The text of a file below the root, without the null bytes of device trees; None if it cannot be read."""
    try:
        return (ROOT / path).read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
    except OSError:
        return None


def number(path: str) -> int | None:
    text = read(path)
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None


def listed(pattern: str) -> list[Path]:
    """The paths below the root that match a pattern, in numeric order."""
    try:
        found = list(ROOT.glob(pattern))
    except OSError:
        return []
    return sorted(found, key=lambda path: (len(path.name), path.name))


def below_root(path: Path) -> str:
    return str(path.relative_to(ROOT))


def run(*command: str) -> str | None:
    """The output of a command; None if it is missing, fails or times out."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


class Probe:
    """The result of Python code run in a separate process, where a library may abort or hang without harm.

    `result` is the JSON object it printed last; `failed` is a one-line reason if there is none.
    """

    def __init__(self, code: str, *arguments: str, seconds: float = PROBE_SECONDS) -> None:
        self.result: dict[str, Any] = {}
        self.failed = ""
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
                errors="replace",
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            self.failed = f"no response within {seconds:g} s"
            return
        except OSError as error:
            self.failed = f"Python cannot be started: {error.strerror}"
            return
        try:
            self.result = dict(json.loads(done.stdout.strip().rpartition("\n")[2]))
        except (ValueError, TypeError):
            self.failed = _failure(done)

    def __bool__(self) -> bool:
        return not self.failed


def _failure(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode} without output"
