"""Timestamped entries, read from a file and played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.runtime.source import Capture, Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .play import PlayClock


class PlayedList:
    """Plays what `load` returns, each entry at its media time in nanoseconds; times increase."""

    live = False

    def __init__(
        self, name: str, input_name: str, detail: str, load: Callable[[], Sequence[tuple[int, Any]]], play: PlayClock
    ) -> None:
        self.name, self.input = name, input_name
        self._detail, self._load = detail, load
        self._play, self._seat = play, play.seat()
        self._entries: Sequence[tuple[int, Any]] = ()
        self._next = 0

    def open(self) -> Opened:
        self._entries, self._next = self._load(), 0
        self._play.open(self._seat)
        return Opened(f"{self._detail}, {len(self._entries)} entries")

    def read(self) -> Capture | None:
        if self._next == len(self._entries):
            self._play.leave(self._seat)
            return None
        media_ns, payload = self._entries[self._next]
        shift_ns = self._play.wait(self._seat, media_ns)
        if shift_ns is None:
            return None
        self._next += 1
        return Capture(self._play.stamp_ns(media_ns), payload, shift_ns)

    def interrupt(self) -> None:
        self._play.leave(self._seat)

    def figures(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        self._play.leave(self._seat)
