"""Time in the loop: integer nanoseconds of CLOCK_MONOTONIC, or a manual clock in tests."""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Returns the current time."""

    def now_ns(self) -> int: ...


class MonotonicClock:
    """The machine's own clock."""

    now_ns = staticmethod(time.monotonic_ns)


class ManualClock:
    """A clock that moves only by `advance`."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, ns: int) -> None:
        self._now_ns += ns


def ms_to_ns(ms: float) -> int:
    return round(ms * NS_PER_MS)


def ns_to_ms(ns: int) -> float:
    return ns / NS_PER_MS
