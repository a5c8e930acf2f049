"""A sink that calls a function with each prediction, in the sink's own thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.sample import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.runtime.sink import RunInfo


class Callback:
    """Gives `function` the samples too, in Prediction.sources."""

    name = "callback"
    wants_samples = True

    def __init__(self, function: Callable[[Prediction], None]) -> None:
        self._function = function

    def open(self, run: RunInfo) -> None:
        """Nothing to open."""

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self._function(item)

    def close(self) -> None:
        """Nothing to close."""
