"""Repeats a take: when all of its streams have ended, they reopen together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mm_edge.errors import MmEdgeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.runtime.source import Capture, Opened, Source


class Repeated:
    """One stream of a repeated take. `round_over` is the barrier that all streams of the take reach at their end."""

    live = False

    def __init__(self, source: Source, round_over: threading.Barrier) -> None:
        self.name, self.input = source.name, source.input
        self._source, self._round_over = source, round_over

    def open(self) -> Opened:
        return self._source.open()

    def read(self) -> Capture | None:
        try:
            return self._read()
        except MmEdgeError:
            self._round_over.abort()  # the other streams would wait for this one at their end
            raise

    def _read(self) -> Capture | None:
        capture = self._source.read()
        while capture is None:
            # Closed first: the take's clock rewinds once every stream has left it.
            self._source.close()
            try:
                self._round_over.wait()
            except threading.BrokenBarrierError:
                return None
            self._source.open()
            capture = self._source.read()
        return capture

    def interrupt(self) -> None:
        self._round_over.abort()
        self._source.interrupt()

    def figures(self) -> Mapping[str, float]:
        return self._source.figures()

    def close(self) -> None:
        self._source.close()


def reopen(sources: Sequence[Source]) -> list[Source]:
    """The same sources, with those played from files repeated endlessly."""
    round_over = threading.Barrier(max(1, sum(not source.live for source in sources)))
    return [source if source.live else Repeated(source, round_over) for source in sources]
