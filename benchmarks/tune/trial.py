"""One trial: a bundle runs for a short time in one way, and its ages, rate and CPU time are measured."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from mm_edge.config import LoopConfig, RunConfig
from mm_edge.errors import MmEdgeError
from mm_edge.runtime.process import cpu_seconds
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.sample import Prediction

if TYPE_CHECKING:
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.runtime.engines.selection.choice import Choice
    from mm_edge.runtime.engines.selection.tuned import Goal

    from .load import Load

WARM_UP = 5  # predictions that are not counted
FEWEST = 8  # a slow model gets more time, to have at least so many
PATIENCE = 4.0  # times the planned time


class Trial(Struct):
    """`why_not`: the reason why this way is not used; its figures are empty then."""

    choice: Choice
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    per_s: float = 0.0
    cpu_ms: float = 0.0  # of all threads, for each result
    loss: float | None = None
    why_not: str = ""

    def score(self, goal: Goal) -> float:
        """Lower is better."""
        if self.why_not:
            return float("inf")
        return {"latency": self.p50_ms, "throughput": 1000 / self.per_s, "power": self.cpu_ms}[goal]


class _Observer(NullSink):
    def __init__(self) -> None:
        self.total_ms: list[float] = []
        self.at_s: list[float] = []
        self.at_cpu_s: list[float] = []

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self.total_ms.append(item.latency_ms["total"])
            self.at_s.append(time.perf_counter())
            self.at_cpu_s.append(cpu_seconds())


def try_choice(bundle: Bundle, load: Load, choice: Choice, goal: Goal, seconds: float) -> Trial:
    """Runs the bundle as `mm-edge run` does. `seconds` do not include loading."""
    sources = load.as_file() if goal == "throughput" else load.at_camera_rate()
    config = RunConfig(engine=choice.config, loop=LoopConfig(depth=choice.depth))
    seen = _Observer()
    try:
        run = Run(bundle, config, sources, [seen])
    except MmEdgeError as error:
        return Trial(choice, why_not=str(error))
    loss = max((row.relative_error for row in run.running.selected.golden), default=None)
    fallbacks = run.running.selected.fallbacks
    with run:
        until_s, latest_s = time.perf_counter() + seconds, time.perf_counter() + PATIENCE * seconds
        while (left_s := until_s - time.perf_counter()) > 0 and not run.wait(left_s):
            pass
        while len(seen.at_s) < WARM_UP + FEWEST and time.perf_counter() < latest_s and not run.wait(0.05):
            pass
        run.hurry()
    try:
        run.raise_error()
    except MmEdgeError as error:
        return Trial(choice, why_not=str(error))
    if fallbacks:
        return Trial(choice, why_not="; ".join(fallbacks))
    return _evaluated(choice, seen, loss)


def _evaluated(choice: Choice, seen: _Observer, loss: float | None) -> Trial:
    if len(seen.at_s) < WARM_UP + 2:
        return Trial(choice, why_not=f"{len(seen.at_s)} predictions in the time of the trial")
    ages = seen.total_ms[WARM_UP:]
    counted = len(seen.at_s) - WARM_UP
    return Trial(
        choice,
        p50_ms=statistics.median(ages),
        p99_ms=float(np.percentile(ages, 99)),
        per_s=counted / (seen.at_s[-1] - seen.at_s[WARM_UP - 1]),
        cpu_ms=(seen.at_cpu_s[-1] - seen.at_cpu_s[WARM_UP - 1]) / counted * 1000,
        loss=loss,
    )


def joined(trials: list[Trial]) -> Trial:
    """The medians of repeated trials of one choice."""
    good = [trial for trial in trials if not trial.why_not] or trials
    middle = {
        field: statistics.median(getattr(trial, field) for trial in good)
        for field in ("p50_ms", "p99_ms", "per_s", "cpu_ms")
    }
    return Trial(good[0].choice, **middle, loss=good[0].loss, why_not=good[0].why_not)
