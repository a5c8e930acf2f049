"""One query at a time, every input new: the latency of predict(). MLPerf's SingleStream, p90."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.benchmarks.bench.floors.bare import BareParts
from mm_edge.benchmarks.bench.measure import in_turns, warm
from mm_edge.runtime.session.predict import Predictor

from .series import Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting


SLICE_S = 0.01


class SingleStream:
    """In turns with the bare engine, which is the floor."""

    name, share = "single-stream", 0.1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._whole, self._bare = Series(), Series()

    def round(self, seconds: float) -> None:
        setting = self._setting
        predictor = Predictor.load(setting.bundle, setting.with_threads(1))
        values = setting.feeds.cycle()
        runs: dict[str, Callable[[], object]] = {
            "whole": lambda: predictor.predict(next(values)),
            "bare": BareParts(setting.bundle, setting.engine(), setting.precisions),
        }
        for run in runs.values():
            warm(run, seconds / 5)
        taken = in_turns({"yardstick": setting.yardstick, **runs}, seconds, SLICE_S)
        self._whole.add_turns(taken["whole"], taken["yardstick"], taken["bare"])
        self._bare.add_turns(taken["bare"], taken["yardstick"])

    def figures(self, _pace_us: tuple[float, ...]) -> list[Figure]:
        floor, setting = ("the bare engine", self._bare.middle()), self._setting
        setting.shortest_ms = min(setting.shortest_ms, self._bare.best())
        return [
            self._whole.figure(self.name, "latency", 90, floor=floor),
            self._whole.figure(self.name, "latency.p50", 50, floor=floor),
        ]
