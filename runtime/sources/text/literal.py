"""A fixed text that can be replaced while the run continues."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mm_edge.runtime.clock import MonotonicClock
from mm_edge.runtime.source import Capture, Opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.runtime.clock import Clock


class LiteralText:
    """Delivers its text once, then waits for `put`, which any thread may call. Of several puts the last wins."""

    live = True

    def __init__(self, input_name: str, text: str, clock: Clock | None = None) -> None:
        self.name, self.input = "text", input_name
        self._clock: Clock = clock or MonotonicClock()
        self._changed = threading.Condition()
        self._text, self._put_ns = text, 0
        self._delivered = self._interrupted = False

    @property
    def text(self) -> str:
        return self._text

    def put(self, text: str) -> None:
        with self._changed:
            self._text, self._put_ns, self._delivered = text, self._clock.now_ns(), False
            self._changed.notify_all()

    def open(self) -> Opened:
        with self._changed:
            self._put_ns, self._delivered, self._interrupted = self._clock.now_ns(), False, False
        return Opened(f"text '{self._text}'", ready=True)

    def read(self) -> Capture | None:
        with self._changed:
            self._changed.wait_for(lambda: self._interrupted or not self._delivered)
            if self._interrupted:
                return None
            self._delivered = True
            return Capture(self._put_ns, self._text)

    def interrupt(self) -> None:
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def figures(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        """Nothing to close."""
