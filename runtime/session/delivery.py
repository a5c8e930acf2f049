"""Turns the completed moments of one stream into predictions, counts them, and sends them to the outlets."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from mm_edge.errors import InputError, UnavailableError
from mm_edge.runtime.clock import ms_to_ns, ns_to_ms
from mm_edge.runtime.histogram import Distribution
from mm_edge.runtime.loop.flight import latencies_ms
from mm_edge.runtime.sound import OverrunError
from mm_edge.sample import InputAge, Moment, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.runtime.clock import Clock
    from mm_edge.runtime.loop.stage import Task
    from mm_edge.spec import InputSync

    from .outlets import Outlets

log = logging.getLogger(__name__)
FAULTS_IN_A_ROW = 3  # then the engine counts as broken and the run ends; at once if the device is lost
CONTINUES = "this moment has no prediction; the states of parts continue from the moment before"


class Delivery:
    """The receiver of a stream. `camera`: its name, if the run has several. The run sets `impaired` while a requested
    source of the stream gives nothing.
    """

    def __init__(
        self,
        outlets: Outlets,
        rules: Mapping[str, InputSync],
        clock: Clock,
        *,
        played: frozenset[str],
        absent: frozenset[str],
        deadline_ms: float | None,
        depth: int = 1,
        on_broken: Callable[[Exception], None],
        camera: str | None = None,
    ) -> None:
        self.camera, self._outlets = camera, outlets
        self.impaired = False
        self.predictions = self.deadline_missed = 0
        self.dropped: Counter[str] = Counter()  # captures of the driver whose moments failed
        self.latency: defaultdict[str, Distribution] = defaultdict(Distribution)
        self.age: defaultdict[str, Distribution] = defaultdict(Distribution)
        self._clock, self._played, self._absent, self._deadline_ms, self._on_broken = (
            clock,
            played,
            absent,
            deadline_ms,
            on_broken,
        )
        self._max_age_ns = {
            name: ms_to_ns(rule.max_age_ms) for name, rule in rules.items() if rule.max_age_ms is not None
        }
        self._depth = depth
        self._faults = 0
        self._last_fault: tuple[Exception, int] | None = None  # and the first moment that it cost

    def completed(self, moment: Moment, tasks: list[Task]) -> None:
        self._faults, self._last_fault = 0, None
        latency_ms = latencies_ms(tasks)
        driver, degraded = moment.driver, self.impaired
        inputs: dict[str, InputAge] = {}
        now_ns = self._clock.now_ns()
        for name, reading in moment.readings.items():
            sample = reading.sample
            if sample is None:
                inputs[name] = InputAge(None, None, "missing")
                degraded = degraded or name not in self._absent
                continue
            # Played inputs are released together: their ages are relative to the release of the driver.
            shift_ns = driver.shift_ns if name in self._played else sample.shift_ns
            age_ms = ns_to_ms(now_ns - sample.t_ns - shift_ns)
            inputs[name] = InputAge(sample.seq, age_ms, reading.state)
            degraded = degraded or driver.t_ns - sample.t_ns > self._max_age_ns.get(name, 1 << 62)
            self.age[name].add(age_ms)
        total_ms = ns_to_ms(now_ns - driver.t_ns - driver.shift_ns)
        latency_ms["total"] = total_ms
        missed = self._deadline_ms is not None and total_ms > self._deadline_ms
        decoded = tasks[-1].result
        prediction = Prediction(
            seq=moment.seq,
            t_ns=moment.t_ns,
            outputs=decoded.outputs,
            inputs=inputs,
            latency_ms=latency_ms,
            deadline_missed=missed,
            health="degraded" if degraded else "ok",
            camera=self.camera,
        )
        self._outlets.put(prediction, moment, decoded.maps)
        self.predictions += 1
        self.deadline_missed += missed
        for label, ms in latency_ms.items():
            self.latency[label].add(ms)

    def failed(self, moment: Moment, error: Exception) -> None:
        if isinstance(error, OverrunError):
            self.dropped["stale"] += 1  # the sound was overwritten while the moment waited: late, not broken
            return
        self.dropped["failed"] += 1
        if self._last_fault and self._last_fault[0] is error and moment.seq < self._last_fault[1] + self._depth:
            return  # moments in flight share tasks, such as the encoding of a text: one fault may cost several of them
        before = self._last_fault and str(self._last_fault[0])
        self._last_fault = error, moment.seq
        self._faults += 1
        if str(error) != before:  # a fault that repeats itself is reported once
            self._outlets.report("engine", "failed", f"{error}; {CONTINUES}", self.camera)
            log.debug("moment %d failed", moment.seq, exc_info=error)
        broken = self._faults >= FAULTS_IN_A_ROW and not isinstance(error, InputError)  # bad input is no broken engine
        if broken or isinstance(error, UnavailableError):
            self._on_broken(error)
