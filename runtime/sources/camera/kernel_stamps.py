"""Validates the timestamps of a camera driver: plausible on CLOCK_MONOTONIC, or rejected for the rest of the run."""

from __future__ import annotations

from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S, ms_to_ns

MOST_AGE_NS = NS_PER_S


class KernelStamps:
    """Uses the driver's timestamp if it is within the last second and advances; otherwise arrival times from then on.

    It never switches back: the two differ by the transfer time, and mixing them would make time jump. Some drivers
    stamp ahead of time, in another clock domain, or not at all.
    """

    def __init__(self) -> None:
        self.refused = ""  # why the driver's timestamps are rejected
        self._last_ns = 0

    def stamp(self, driver_ms: float, arrived_ns: int) -> int:
        if not self.refused:
            driver_ns = ms_to_ns(driver_ms)
            self.refused = self._fault(driver_ns, arrived_ns)
            if not self.refused:
                self._last_ns = driver_ns
                return driver_ns
        self._last_ns = max(arrived_ns, self._last_ns + 1)
        return self._last_ns

    def _fault(self, driver_ns: int, arrived_ns: int) -> str:
        if driver_ns <= 0:
            return "the driver sets no timestamp"
        if driver_ns > arrived_ns:
            return f"the driver's timestamp is {(driver_ns - arrived_ns) / NS_PER_MS:.1f} ms in the future"
        if arrived_ns - driver_ns > MOST_AGE_NS:
            return f"the driver's timestamp is {(arrived_ns - driver_ns) / NS_PER_S:.1f} s old"
        return "" if driver_ns > self._last_ns else "the driver's timestamp does not advance"
