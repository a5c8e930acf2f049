"""One observed live run: latencies and ages of every prediction, and the stages by worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mm_edge.benchmarks.bench.figure import Span
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.process import cpu_seconds
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.sample import Prediction

if TYPE_CHECKING:
    from mm_edge.config import RunConfig
    from mm_edge.runtime.sink import Summary

    from .setting import Setting

WARM_UP = 5  # predictions that are not counted
LEAST = 3 * WARM_UP
PATIENCE_S = 20.0
NS_PER_MS = 1_000_000


class ObservedRun(NullSink):
    """Runs the setting's bundle on `sources` for `seconds` and records each prediction."""

    def __init__(self, setting: Setting, config: RunConfig, sources: list[Any], seconds: float) -> None:
        self.total_ms: list[float] = []
        self.came_s: list[float] = []
        self.missed = 0
        self.age_ms: dict[str, list[float]] = {}
        self.spans: list[tuple[str, str, int, int, int | None]] = []
        # Implements what the runtime calls of a trace; nothing is written.
        session = Run(setting.bundle, config, sources, [self], engine=setting.engine(), trace=self)  # type: ignore[arg-type]
        with session:
            before_s, began_s = cpu_seconds(), time.perf_counter()
            session.wait(seconds)
            while len(self.total_ms) < LEAST and time.perf_counter() - began_s < PATIENCE_S:
                session.wait(seconds)  # a busy machine gets more time
            self.cpu_s, self.seconds = cpu_seconds() - before_s, time.perf_counter() - began_s
        session.raise_error()
        if session.summary is None:
            raise WorkFailedError("the run has no summary", action="measuring the live loop")
        self.summary: Summary = session.summary
        if len(self.total_ms) <= WARM_UP:
            raise WorkFailedError(
                f"{len(self.total_ms)} predictions in {seconds:.1f} s",
                action="measuring the live loop",
                hint="Increase --seconds",
            )

    def take(self, item: Any) -> None:
        if not isinstance(item, Prediction):
            return
        self.total_ms.append(item.latency_ms["total"])
        self.came_s.append(time.perf_counter())
        self.missed += item.deadline_missed
        for name, age in item.inputs.items():
            if age.age_ms is not None:
                self.age_ms.setdefault(name, []).append(age.age_ms)

    def span(self, worker: str, label: str, start_ns: int, end_ns: int, moment_seq: int | None = None) -> None:
        self.spans.append((worker, label, start_ns, end_ns, moment_seq))

    def instant(self, worker: str, label: str, t_ns: int, detail: str = "") -> None:
        """Not needed: captures and drops are in the summary."""

    @property
    def latencies_ms(self) -> list[float]:
        return self.total_ms[WARM_UP:]

    def rate(self) -> float:
        return (len(self.came_s) - 1) / (self.came_s[-1] - self.came_s[0])

    def ages_over_time(self, name: str) -> tuple[tuple[float, float], ...]:
        return tuple(zip((came - self.came_s[0] for came in self.came_s), self.age_ms.get(name, []), strict=False))

    def timeline(self, ticks: int) -> tuple[Span, ...]:
        """The stages of a few ticks from the middle of the run."""
        moments = sorted({moment for *_, moment in self.spans if moment is not None})
        chosen = set(moments[len(moments) // 2 :][:ticks])
        spans = sorted((span for span in self.spans if span[4] in chosen), key=lambda span: span[2])
        return tuple(
            Span(worker, label, moment or 0, (start - spans[0][2]) / NS_PER_MS, (end - spans[0][2]) / NS_PER_MS)
            for worker, label, start, end, moment in spans
        )
