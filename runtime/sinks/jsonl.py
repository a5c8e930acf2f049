"""Writes JSON lines to a file or to standard output, each line at once and never in part."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.runtime.sink import ItemLostError, ReaderGoneError

from .telemetry.lines import record_of

if TYPE_CHECKING:
    from mm_edge.runtime.sink import RunInfo, Summary
    from mm_edge.sample import Event, Prediction


# Append: after part of a line was removed, the next one must begin where the file ends.
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC


class JsonlSink:
    """`target` is a path, or `-` for standard output.

    A line that cannot be written to a file is lost and later ones are tried again, so that writing resumes once a full
    disk has space; the file has complete lines only. On standard output it ends the sink, since part of a line
    cannot be taken back there. A pipe whose reader has gone ends it too, which is no fault.
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
            self._file = os.open(Path(self._target), WRITE, 0o666)
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
            self._fail(self._file, error)
        self._whole_bytes += len(line)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _fail(self, file: int, error: OSError) -> NoReturn:
        action = f"writing predictions to {self._target}"
        if self._target == "-":
            self.close()
            raise WorkFailedError(f"{error.strerror}", action=action, hint="Write to a path instead") from error
        with contextlib.suppress(OSError):  # a pipe or device cannot be truncated
            os.ftruncate(file, self._whole_bytes)
        hint = "Free disk space, and writing resumes"
        raise ItemLostError(f"{error.strerror}; lines are being lost", action=action, hint=hint) from error
