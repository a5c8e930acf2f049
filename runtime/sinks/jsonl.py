"""One JSON object a line, into a file or to standard output: whole lines or none, each written as it comes."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mm_edge.errors import UsageError, WorkFailedError

from .telemetry.lines import as_json

if TYPE_CHECKING:
    from mm_edge.runtime.sink import RunInfo, Summary
    from mm_edge.sample import Event, Prediction


class JsonlSink:
    """`target` is a path, or `-` for standard output.

    A line that cannot be written ends the sink: take() raises once, the file ends with the last whole line, and what
    comes after is let go.
    """

    name = "jsonl"
    wants_samples = False

    def __init__(self, target: str) -> None:
        self._target = target
        self._encode = msgspec.json.Encoder().encode
        self._file: int | None = None
        self._whole_bytes = 0  # up to the end of the last whole line

    def open(self, run: RunInfo) -> None:
        del run
        if self._target == "-":
            sys.stdout.flush()
            self._file = os.dup(sys.stdout.fileno())
            return
        try:
            self._file = os.open(Path(self._target), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            action = f"writing predictions to {self._target}"
            raise UsageError(f"{error.strerror}", action=action, hint="Give a path that can be written") from None

    def take(self, item: Prediction | Event | Summary) -> None:
        if self._file is None:
            return
        line = memoryview(self._encode(as_json(item)) + b"\n")
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            self._cut_off(self._file)
            self.close()
            raise WorkFailedError(
                f"{error.strerror}; it ends with the last whole line",
                action=f"writing predictions to {self._target}",
                hint="Make room there, or write elsewhere",
            ) from error
        self._whole_bytes += len(line)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _cut_off(self, file: int) -> None:
        """Half a line would break whoever reads the file. A pipe cannot take back what it has."""
        if self._target != "-":
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._whole_bytes)
