"""Judges the stamps that a camera's driver gives: on CLOCK_MONOTONIC and plausible, or not to be trusted again."""

from __future__ import annotations

from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S, ms_to_ns

MOST_AGE_NS = NS_PER_S


class KernelStamps:
    """Takes a driver's stamp when it lies within the last second and advances; else the time of arrival, for good.

    For good, since the two differ by the transfer: to mix them would make time go back and forth. Drivers exist that
    stamp ahead of time, in another clock's domain, or not at all.
    """

    def __init__(self) -> None:
        self.refused = ""  # why the driver's stamps are no longer taken
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
            return "the driver gives none"
        if driver_ns > arrived_ns:
            return f"the driver's lies {(driver_ns - arrived_ns) / NS_PER_MS:.1f} ms in the future"
        if arrived_ns - driver_ns > MOST_AGE_NS:
            return f"the driver's is {(arrived_ns - driver_ns) / NS_PER_S:.1f} s old"
        return "" if driver_ns > self._last_ns else "the driver's does not advance"
