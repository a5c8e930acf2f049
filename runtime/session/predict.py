"""One prediction from values at hand, without sources: the same stages as the loop's, one after the other, in the
caller's thread.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mm_edge.cores import usable_cores
from mm_edge.errors import InputError
from mm_edge.runtime.clock import ns_to_ms
from mm_edge.runtime.engines.selection.select_engine import settle
from mm_edge.runtime.loop.plan import build_plan
from mm_edge.runtime.loop.stage import MISSING
from mm_edge.runtime.loop.task import Task
from mm_edge.runtime.prepare import preparers
from mm_edge.runtime.sound import sound_block
from mm_edge.sample import InputAge, Moment, Prediction, Reading, Sample, State
from mm_edge.spec import AudioInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Manifest
    from mm_edge.config import RunConfig
    from mm_edge.runtime.engines.selection.select_engine import Settled
    from mm_edge.runtime.loop.plan import Plan

PLACES = 2  # the newest result and the one that is being made


class Predictor:
    """Owns a plan of its own. An input that is given as the very same text or object again is not computed again."""

    def __init__(self, manifest: Manifest, plan: Plan, settled: Settled) -> None:
        self._manifest, self._plan, self._settled, self._engine = manifest, plan, settled, settled.engine
        self._given: dict[str, tuple[Any, Sample]] = {}
        self._ticks = 0
        self._lock = threading.Lock()  # buffers are shared between calls
        for stage in plan.stages:
            stage.own_places(PLACES)

    @classmethod
    def load(cls, bundle: Bundle, config: RunConfig) -> Predictor:
        """Loads and checks the parts for it alone, each with all the cores: nothing runs beside them."""
        engine = replace(config.engine, threads=config.engine.threads or usable_cores())
        settled = settle(bundle, engine, depth=1)
        try:
            prepare = preparers(bundle.manifest.inputs, bundle.read)
            plan = build_plan(bundle.manifest, settled.executables, settled.engine, prepare, bundle.read)
            return cls(bundle.manifest, plan, settled)
        except BaseException:
            settled.close()
            raise

    def close(self) -> None:
        self._settled.close()

    def predict(self, values: Mapping[str, Any]) -> Prediction:
        with self._lock:
            self._engine.attach()
            try:
                return self._predict(values)
            finally:
                self._engine.detach()

    def _predict(self, values: Mapping[str, Any]) -> Prediction:
        names = [spec.name for spec in self._manifest.inputs]
        if unknown := set(values) - set(names):
            raise InputError(
                f"the bundle takes {', '.join(names)}",
                action=f"predicting from {', '.join(sorted(unknown))}",
                hint="Give values by those names",
            )
        if not values:
            raise InputError(
                f"the bundle takes {', '.join(names)}",
                action="predicting from nothing",
                hint="Give at least one of them",
            )
        t_ns = time.monotonic_ns()
        readings = {name: self._reading(name, values.get(name), t_ns) for name in names}
        driver = next(reading.sample for reading in readings.values() if reading.sample is not None)
        moment = Moment(self._ticks, driver, readings)
        self._ticks += 1
        outputs, latency_ms = self._run(moment)
        now_ns = time.monotonic_ns()
        latency_ms["total"] = ns_to_ms(now_ns - t_ns)
        ages = {name: _age(reading, now_ns) for name, reading in readings.items()}
        return Prediction(moment.seq, t_ns, outputs, ages, latency_ms, deadline_missed=False, health="ok")

    def _reading(self, name: str, value: Any, t_ns: int) -> Reading:
        if value is None:
            return Reading("missing", None)
        given, sample = self._given.get(name, (None, None))
        same = value is given or (isinstance(value, str) and value == given)
        if sample is None or not same:
            spec = self._manifest.input(name)
            payload = sound_block(value, spec.prepare.window) if isinstance(spec, AudioInput) else value
            sample = Sample(name, sample.seq + 1 if sample else 0, t_ns, payload)
            self._given[name] = (value, sample)
        state: State = "held" if same else "fresh"
        return Reading(state, sample)

    def _run(self, moment: Moment) -> tuple[Any, dict[str, float]]:
        keys: list[Any] = []
        tasks: list[Task] = []
        latency_ms: dict[str, float] = {}
        for stage in self._plan.stages:
            key = stage.key(moment, keys)
            keys.append(key)
            last = stage.last
            if key is MISSING:
                tasks.append(stage.blank)
                continue
            if last is not None and last.key == key:
                tasks.append(last)
                continue
            task = Task(stage, key, moment, stage.free.pop())
            task.inputs = [tasks[need] for need in stage.needs] + ([last or stage.blank] if stage.in_order else [])
            task.users = 1
            started_ns = time.monotonic_ns()
            try:
                stage.run(task)
            except BaseException:
                task.release()
                raise
            if not stage.silent:
                latency_ms[stage.label] = ns_to_ms(time.monotonic_ns() - started_ns)
            task.done = True
            stage.last = task
            if last is not None:
                last.release()
            tasks.append(task)
        return tasks[-1].result.outputs, latency_ms


def _age(reading: Reading, now_ns: int) -> InputAge:
    if reading.sample is None:
        return InputAge(None, None, "missing")
    return InputAge(reading.sample.seq, ns_to_ms(now_ns - reading.sample.t_ns), reading.state)
