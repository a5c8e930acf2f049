"""Parts run when their input changes, against every part at every tick: CPU a tick at the sources' real rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .series import rate
from .watched import Watched

if TYPE_CHECKING:
    from mm_edge.benchmarks.figure import Figure

    from .setting import Setting


class Incremental:
    """Both ways in every round, first one and then the other first."""

    name, share = "incremental", 0.2

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._cpu_ms: dict[bool, list[float]] = {False: [], True: []}

    def round(self, seconds: float) -> None:
        setting, flip = self._setting, len(self._cpu_ms[False]) % 2 == 1
        for every in (flip, not flip):
            config = setting.with_loop(every_part_every_tick=every)
            run = Watched(setting, config, setting.feeds.sources(), seconds / 2)
            self._cpu_ms[every].append(run.cpu_s / len(run.total_ms) * 1000)

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        saved = [reuse / every for reuse, every in zip(self._cpu_ms[False], self._cpu_ms[True], strict=True)]
        return [
            rate(self.name, "on change", self._cpu_ms[False], pace_us, unit="CPU ms/tick", better="less"),
            rate(self.name, "everything", self._cpu_ms[True], pace_us, unit="CPU ms/tick", better="less"),
            rate(self.name, "on change / everything", saved, unit="ratio", better="less"),
        ]
