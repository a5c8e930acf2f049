"""A sink that discards everything, for measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mm_edge.runtime.sink import RunInfo, Summary
    from mm_edge.sample import Event, Prediction


class NullSink:
    name = "null"
    wants_samples = False

    def open(self, run: RunInfo) -> None:
        """Nothing to open."""

    def take(self, item: Prediction | Event | Summary) -> None:
        """Discards the item."""

    def close(self) -> None:
        """Nothing to close."""
