"""An interruptible wait for points in time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mm_edge.runtime.clock import NS_PER_S, MonotonicClock

if TYPE_CHECKING:
    from mm_edge.runtime.clock import Clock


class Ticker:
    """A clock on which one thread waits and which any thread can wake."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or MonotonicClock()
        self._interrupted = threading.Event()

    def now_ns(self) -> int:
        return self.clock.now_ns()

    def until(self, t_ns: int) -> bool:
        """Returns at `t_ns`, or at once if that has passed. False: interrupted."""
        while (left_ns := t_ns - self.clock.now_ns()) > 0:
            if self._sleep(left_ns / NS_PER_S):
                return False
        return not self._interrupted.is_set()

    def interrupt(self) -> None:
        self._interrupted.set()

    def reset(self) -> None:
        self._interrupted.clear()

    def _sleep(self, seconds: float) -> bool:
        """True when interrupted. Tests move a manual clock here instead."""
        return self._interrupted.wait(seconds)
