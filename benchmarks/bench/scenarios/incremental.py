"""Reuse of unchanged parts, relative to running every part at every tick, at the sources' real rates: CPU per tick of
the whole run, and the time of the parts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.runtime.loop.stage import stage_label

from .observed_run import NS_PER_MS, ObservedRun
from .series import rate

if TYPE_CHECKING:
    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting


class Incremental:
    """Both modes in every round, in alternating order."""

    name, share = "incremental", 0.2

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._parts = {stage_label(part.name) for part in setting.bundle.manifest.parts}
        self._cpu_ms: dict[bool, list[float]] = {False: [], True: []}
        self._parts_ms: dict[bool, list[float]] = {False: [], True: []}

    def round(self, seconds: float) -> None:
        setting, flip = self._setting, len(self._cpu_ms[False]) % 2 == 1
        for every in (flip, not flip):
            config = setting.with_loop(every_part_every_tick=every)
            run = ObservedRun(setting, config, setting.feeds.sources(), seconds / 2)
            ticks = len(run.total_ms)
            self._cpu_ms[every].append(run.cpu_s / ticks * 1000)
            took_ns = sum(end - start for _, label, start, end, _ in run.spans if label in self._parts)
            self._parts_ms[every].append(took_ns / NS_PER_MS / ticks)

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        saved, saved_by_parts = (
            [reuse / every for reuse, every in zip(taken[False], taken[True], strict=True)]
            for taken in (self._cpu_ms, self._parts_ms)
        )
        return [
            rate(self.name, "on change", self._cpu_ms[False], pace_us, unit="CPU ms/tick", better="less"),
            rate(self.name, "everything", self._cpu_ms[True], pace_us, unit="CPU ms/tick", better="less"),
            rate(self.name, "on change / everything", saved, unit="ratio", better="less"),
            rate(self.name, "parts on change / everything", saved_by_parts, unit="ratio", better="less"),
        ]
