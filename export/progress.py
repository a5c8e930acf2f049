"""Tells what the export is doing: the step, how long it has taken, and how much of it is left."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

T = TypeVar("T")


class Progress(Protocol):
    """What the export reports to."""

    def step(self, name: str) -> AbstractContextManager[None]: ...

    def over(self, items: Sequence[T], name: str) -> Iterable[T]: ...


class Silent:
    """Reports nothing; for use as a library."""

    def step(self, name: str) -> AbstractContextManager[None]:
        del name
        return _nothing()

    def over(self, items: Sequence[T], name: str) -> Iterable[T]:
        del name
        return items


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class Told:
    """A live line a step on a terminal, with the time left where the number of items is known; else one plain line."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(name):
                yield
        else:
            yield
        self._console.print(f"  {name}: {time.monotonic() - start:.1f} s", highlight=False)

    def over(self, items: Sequence[T], name: str) -> Iterable[T]:
        if not self._console.is_terminal:
            yield from items
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=self._console, transient=True) as bar:
            yield from bar.track(items, description=name)
