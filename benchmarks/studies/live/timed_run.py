"""A timed run of the loop: ages, stages, results per second; and the time of the model alone."""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.config import LoopConfig, RunConfig
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.process import cpu_seconds
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.sample import Prediction

from .loops.plain import PlainModel

if TYPE_CHECKING:
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.runtime.sink import Summary

SLOWER = 3.0  # under overload the camera delivers three frames in the time of one inference
SIZE = (224, 224)
WARM_UP_RUNS = 3  # of a bare engine, not counted
WARM_UP_S = 0.5  # of a loop, not counted: its workers and slots allocate memory


class Ages(NullSink):
    """Keeps the latencies of each prediction."""

    def __init__(self) -> None:
        self.total_ms: list[float] = []
        self.taken_s: list[float] = []
        self.stages_ms: list[dict[str, float]] = []

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self.total_ms.append(item.latency_ms["total"])
            self.taken_s.append(time.perf_counter())
            self.stages_ms.append(dict(item.latency_ms))

    def rate(self) -> float:
        return warm_rate(self.taken_s)


def warm_rate(taken_s: list[float]) -> float:
    """Results per second after the warm-up, from their times."""
    warm = [at for at in taken_s if at > taken_s[0] + WARM_UP_S]
    return (len(warm) - 1) / (warm[-1] - warm[0])


def run_live(bundle: Bundle, sources: list[Any], seconds: float | None, **loop: Any) -> tuple[Ages, Summary, float]:
    """Runs the loop; returns the ages, the summary, and the CPU seconds of the run without loading."""
    ages = Ages()
    session = Run(bundle, RunConfig(loop=LoopConfig(**loop)), sources, [ages])
    before = 0.0
    with session:
        before = cpu_seconds()
        session.wait(seconds)
        used = cpu_seconds() - before
    session.raise_error()
    return ages, summary_of(session), used


def summary_of(session: Run) -> Summary:
    if session.summary is None:
        raise WorkFailedError("the run has no summary", action="measuring")
    return session.summary


def p(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))


def side_by_side(graph: bytes, pictures: list[Any], seconds: float, cores: int) -> float:
    """Prepare, run and decode on every core at once without a loop: the attainable results per second.

    By each worker's own clock, from its first run after the warm-up to the end of its last.
    """
    rates = [0.0] * cores
    models = [PlainModel(graph, SIZE) for _ in range(cores)]
    warm = threading.Barrier(cores)

    def work(index: int) -> None:
        model, count = models[index], 0
        for picture in pictures[:WARM_UP_RUNS]:
            model.answer(picture)
        warm.wait()
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            model.answer(pictures[count % len(pictures)])
            count += 1
        rates[index] = count / (time.perf_counter() - began)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(cores)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)


def model_ms(graph: bytes, pictures: list[Any]) -> float:
    model = PlainModel(graph, SIZE)
    prepared = model.prepare(pictures[0])
    taken = []
    for _ in range(40):
        began = time.perf_counter()
        model.run(prepared)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[10:])
