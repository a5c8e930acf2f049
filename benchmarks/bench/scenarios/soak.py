"""Hours of the live loop: memory growth, latency drift, temperature."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.benchmarks.bench.machine import temperature_c
from mm_edge.runtime.process import resident_mb

from .observed_run import ObservedRun
from .series import Series, rate

if TYPE_CHECKING:
    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting


class Soak:
    """A long run in slices, each a session of its own: memory that a restart does not release is a leak."""

    name, share = "soak", 0.5

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._memory_mb: list[float] = []
        self._totals = Series()
        self._temperature_c: list[float] = []
        self._seconds = 0.0

    def round(self, seconds: float) -> None:
        run = ObservedRun(self._setting, self._setting.config, self._setting.feeds.sources(), seconds)
        self._seconds += run.seconds
        self._totals.add(run.latencies_ms)
        self._memory_mb.append(resident_mb())
        if (now_c := temperature_c()) is not None:
            self._temperature_c.append(now_c)

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        hours = self._seconds / 3600
        middles = [statistics.median(values) for values in self._totals.rounds]
        half = max(1, len(middles) // 2)
        drift = statistics.median(middles[half:] or middles) / statistics.median(middles[:half])
        grown = float(np.polyfit(np.arange(len(self._memory_mb)), self._memory_mb, 1)[0]) if half > 1 else 0.0
        made = [
            self._totals.figure(self.name, "latency", 99, pace_us, note=f"over {hours:.2f} h"),
            rate(self.name, "memory", self._memory_mb, unit="MB", better="less"),
            rate(self.name, "memory growth", [grown], unit="MB/slice", better="neither", note="slope over the slices"),
            rate(self.name, "second half / first", [drift], unit="ratio", better="neither", note="median latency"),
        ]
        if self._temperature_c:
            made.append(rate(self.name, "temperature", self._temperature_c, unit="°C", better="neither"))
        return made
