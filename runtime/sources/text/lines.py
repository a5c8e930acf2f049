"""Text from standard input, one line at a time."""

from __future__ import annotations

import os
import select
import sys
from fcntl import F_GETFL, fcntl
from typing import TYPE_CHECKING

from mm_edge.errors import InputError, SourceLostError
from mm_edge.runtime.clock import MonotonicClock
from mm_edge.runtime.source import Capture, Opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.runtime.clock import Clock

READ_BYTES = 65_536
MOST_BYTES = 65_536  # of one line; the rest of a longer one is skipped. No model takes a text of that length


class TextLines:
    """Delivers every non-empty line, stamped at arrival. Ends with the input."""

    live = True

    def __init__(self, input_name: str, file: int | None = None, clock: Clock | None = None) -> None:
        self.name, self.input = "text", input_name
        self._file, self._clock = file, clock or MonotonicClock()
        self._skipping = False  # the rest of a line that is too long
        self._pending = b""  # kept across close(): data read from standard input cannot be read again
        self._wake: tuple[int, int] | None = None

    def open(self) -> Opened:
        if self._file is None:
            if sys.stdin is None:  # closed before the start
                raise InputError(
                    "standard input is closed", action="reading --text -", hint='Use --text "the red ball"'
                )
            self._file = sys.stdin.fileno()
            if fcntl(self._file, F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                raise InputError(
                    "standard input cannot be read", action="reading --text -", hint='Use --text "the red ball"'
                )
        self._wake = os.pipe()
        return Opened("lines of standard input")

    def read(self) -> Capture | None:
        while (line := self._line()) is not None:
            text = line.decode(errors="replace").strip()
            if text:
                return Capture(self._clock.now_ns(), text)
        return None

    def _line(self) -> bytes | None:
        """The next line; at the end of the input the rest without a line break; then None."""
        if self._file is None or self._wake is None:
            return None
        while b"\n" not in self._pending and (self._skipping or len(self._pending) < MOST_BYTES):
            # Not sys.stdin.readline: its wait cannot be interrupted, and the end of a run would hang on it.
            ready, _, _ = select.select([self._wake[0], self._file], [], [])
            if self._wake[0] in ready:
                return None
            try:
                chunk = os.read(self._file, READ_BYTES)
            except OSError as error:  # a folder, a terminal that is gone
                raise SourceLostError(f"{error.strerror}", action="reading standard input for --text -") from None
            if not chunk:
                rest, self._pending = self._pending, b""
                return rest or None
            self._pending += chunk
            if self._skipping:
                _, found, self._pending = self._pending.partition(b"\n")
                self._skipping = not found
        line, found, rest = self._pending.partition(b"\n")
        self._pending, self._skipping = rest, not found
        return line

    def interrupt(self) -> None:
        if self._wake is not None:
            os.write(self._wake[1], b"!")

    def figures(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        wake, self._wake = self._wake, None
        for end in wake or ():
            os.close(end)
