"""Writes JSON lines to a file or to standard output, each line at once and never in part."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.runtime.sink import ReaderGoneError

from .telemetry.lines import record_of

if TYPE_CHECKING:
    from mm_edge.runtime.sink import RunInfo, Summary
    from mm_edge.sample import Event, Prediction


class JsonlSink:
    """`target` is a path, or `-` for standard output.

    A line that cannot be written ends the sink: take() raises once, the file ends with the last complete line, and
    later items are dropped. A pipe whose reader has gone ends it too, which is no fault.
    """

    name = "jsonl"
    wants_samples = False

    def __init__(self, target: str) -> None:
        self._target = target
        self._encode = msgspec.json.Encoder().encode
        self._file: int | None = None
        self._whole_bytes = 0  # up to the end of the last complete line

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
            raise UsageError(f"{error.strerror}", action=action, hint="Give a writable path") from None

    def take(self, item: Prediction | Event | Summary) -> None:
        if self._file is None:
            return
        line = memoryview(self._encode(record_of(item)) + b"\n")
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except BrokenPipeError as error:
            self.close()
            found = f"{error.strerror}: nobody reads it any more"
            raise ReaderGoneError(found, action=f"writing predictions to {self._target}") from None
        except OSError as error:
            self._cut_off(self._file)
            self.close()
            raise WorkFailedError(
                f"{error.strerror}; the file ends with the last complete line",
                action=f"writing predictions to {self._target}",
                hint="Free disk space, or write to another path",
            ) from error
        self._whole_bytes += len(line)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _cut_off(self, file: int) -> None:
        """A partial line would break readers of the file. A pipe cannot be truncated."""
        if self._target != "-":
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._whole_bytes)
