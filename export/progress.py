"""Reports the progress of an export: the current step, how long it took, and an estimate of the time left."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Progress(Protocol):
    """Receives the steps of an export. `number` of `count` steps that belong together."""

    def step(self, name: str, number: int = 0, count: int = 0) -> AbstractContextManager[None]: ...


class Silent:
    """Reports nothing: the default when the export is used as a library."""

    def step(self, name: str, number: int = 0, count: int = 0) -> AbstractContextManager[None]:
        del name, number, count
        return nullcontext()


class TerminalProgress:
    """Shows the running step on a terminal, and prints one line for each finished step."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._first_started = 0.0

    @contextmanager
    def step(self, name: str, number: int = 0, count: int = 0) -> Iterator[None]:
        start = time.monotonic()
        if number <= 1:
            self._first_started = start
        shown = f"{name} ({number} of {count}{self._left(number, count)})" if count else name
        with self._console.status(shown) if self._console.is_terminal else nullcontext():
            yield
        self._console.print(f"  {shown}: {time.monotonic() - start:.1f} s", markup=False)

    def _left(self, number: int, count: int) -> str:
        """Estimates that each remaining step takes as long as the average so far."""
        done = number - 1
        if done < 1:
            return ""
        left = (time.monotonic() - self._first_started) / done * (count - done)
        return f", about {left:.0f} s left"
