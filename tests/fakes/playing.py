"""Clocks that need no waiting: to sleep is to move the hands."""

from mm_edge.runtime.clock import NS_PER_S, ManualClock
from mm_edge.runtime.sources.play import PlayClock
from mm_edge.runtime.sources.ticker import Ticker


class ManualTicker(Ticker):
    """A ticker whose wait is over at once; then it is that much later."""

    def __init__(self, start_ns: int = 5 * NS_PER_S) -> None:
        super().__init__(ManualClock(start_ns))

    def _sleep(self, seconds: float) -> bool:
        if self._interrupted.is_set():
            return True
        self.clock.advance(max(1, round(seconds * NS_PER_S)))
        return False


class ManualPlayClock(PlayClock):
    """For one thread: a wait for the clock moves it; a wait for others would never end, so it raises."""

    def __init__(self, speed="real", start_ns: int = 5 * NS_PER_S) -> None:
        super().__init__(speed, ManualClock(start_ns))

    def _sleep(self, seconds: float | None) -> bool:
        if seconds is None:
            raise AssertionError("the play clock waits for somebody else")
        self._clock.advance(max(1, round(seconds * NS_PER_S)))
        return False
