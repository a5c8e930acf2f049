"""Eight samples at once, as from eight cameras: the latency until all are answered. MLPerf's MultiStream, p99."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mm_edge.benchmarks.bench.floors.bare import BareParts
from mm_edge.benchmarks.bench.measure import in_turns, warm
from mm_edge.runtime.session.predict import Predictor

from .series import Series

if TYPE_CHECKING:
    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting

STREAMS = 8


class MultiStream:
    """Distributed over one predictor per core; in turns with bare engines, distributed the same way."""

    name, share = "multi-stream", 0.2

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._whole, self._bare = Series(), Series()

    def round(self, seconds: float) -> None:
        setting = self._setting
        config, values = setting.with_threads(1), setting.feeds.cycle()
        crew = min(setting.cores, STREAMS)
        predictors = [Predictor.load(setting.bundle, config) for _ in range(crew)]
        bare = [BareParts(setting.bundle, setting.engine(), setting.precisions) for _ in range(crew)]
        with ThreadPoolExecutor(crew) as pool:

            def answer_bare(worker: int) -> None:
                for _ in range(worker, STREAMS, crew):
                    bare[worker]()

            def query() -> None:
                samples = [next(values) for _ in range(STREAMS)]

                def answer(worker: int) -> None:
                    for sample in samples[worker::crew]:
                        predictors[worker].predict(sample)

                list(pool.map(answer, range(crew)))

            def query_bare() -> None:
                list(pool.map(answer_bare, range(crew)))

            for run in (query, query_bare):
                warm(run, seconds / 10)
            taken = in_turns({"whole": query, "bare": query_bare}, seconds, 0.0)
            self._whole.add_turns(taken["whole"], floor=taken["bare"])
            self._bare.add_turns(taken["bare"])

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        floor = ("eight bare engine runs on the same threads", self._bare.middle())
        return [
            self._whole.figure(self.name, "query of 8", 99, pace_us, floor=floor),
            self._whole.figure(self.name, "query of 8.p50", 50, pace_us, floor=floor),
        ]
