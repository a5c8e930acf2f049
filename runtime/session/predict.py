"""One prediction from given values, without sources: the loop's stages, one after the other, in the caller's thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from mm_edge.cores import usable_cores
from mm_edge.errors import InputError, UsageError, WorkFailedError
from mm_edge.runtime.clock import ns_to_ms
from mm_edge.runtime.engines.selection.select_engine import select_engine
from mm_edge.runtime.loop.flight import begin_moment, forget_failed, latencies_ms
from mm_edge.runtime.loop.plan import build_plan
from mm_edge.runtime.prepare import preparers
from mm_edge.runtime.sound import sound_block
from mm_edge.sample import InputAge, Moment, Prediction, Reading, Sample, State
from mm_edge.spec import AudioInput

from .blas import single_threaded_blas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Manifest
    from mm_edge.config import RunConfig
    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.engines.selection.select_engine import SelectedEngine
    from mm_edge.runtime.loop.plan import Plan
    from mm_edge.runtime.prepare import Preparer


# Copying and comparing a camera image takes as long as preparing it; a larger array than this counts as new each time.
MOST_COMPARED_BYTES = 1 << 20


class Predictor:
    """Owns its own plan. An input that is given again with the same content is not computed again, unless parts
    remember earlier captures: then every picture, sound and vector is a new one.
    """

    def __init__(
        self, manifest: Manifest, plan: Plan, selected: SelectedEngine, prepare: Mapping[str, Preparer]
    ) -> None:
        self._manifest, self._plan, self._selected, self._prepare = manifest, plan, selected, prepare
        self._given: dict[str, tuple[Any, Sample]] = {}
        self._remembers = any(stage.in_order for stage in plan.stages)
        self._moments, self._closed = 0, False
        self._lock = threading.Lock()  # calls share the buffers
        plan.own_places(1)

    @classmethod
    def load(cls, bundle: Bundle, config: RunConfig, engine: Engine | None = None) -> Predictor:
        """Loads and checks the parts, each with all cores: nothing else runs at the same time. `engine`: one that is
        already open; it is closed with this.
        """
        settings = replace(config.engine, threads=config.engine.threads or usable_cores())
        selected = select_engine(bundle, settings, depth=1, engine=engine)
        try:
            prepare = preparers(bundle.manifest.inputs, bundle.read)
            plan = build_plan(bundle.manifest, selected.executables, selected.engine, prepare, bundle.read)
            return cls(bundle.manifest, plan, selected, prepare)
        except BaseException:
            selected.close()
            raise

    def close(self) -> None:
        with self._lock:  # after a prediction in progress
            self._closed = True
            self._selected.close()

    def predict(self, values: Mapping[str, Any]) -> Prediction:
        with self._lock, single_threaded_blas():
            if self._closed:
                raise UsageError("the session was closed", action="predicting from given values", hint="Open a new one")
            self._selected.engine.attach()
            try:
                return self._predict(values)
            finally:
                self._selected.engine.detach()

    def _predict(self, values: Mapping[str, Any]) -> Prediction:
        names = [spec.name for spec in self._manifest.inputs]
        if unknown := set(values) - set(names):
            raise InputError(
                f"the bundle's inputs are {', '.join(names)}",
                action=f"predicting from {', '.join(sorted(unknown))}",
                hint="Give values by those names",
            )
        if all(value is None for value in values.values()):
            raise InputError(
                f"the bundle's inputs are {', '.join(names)}",
                action="predicting without any value",
                hint="Give at least one of them",
            )
        t_ns = time.monotonic_ns()
        readings = {name: self._reading(name, values.get(name), t_ns) for name in names}
        driver = next(reading.sample for reading in readings.values() if reading.sample is not None)
        moment = Moment(self._moments, driver, readings)
        self._moments += 1
        outputs, latency_ms = self._run(moment)
        now_ns = time.monotonic_ns()
        latency_ms["total"] = ns_to_ms(now_ns - t_ns)
        ages = {name: _age(reading, now_ns) for name, reading in readings.items()}
        return Prediction(moment.seq, t_ns, outputs, ages, latency_ms, deadline_missed=False, health="ok")

    def _reading(self, name: str, value: Any, t_ns: int) -> Reading:
        if value is None:
            return Reading("missing", None)
        given, sample = self._given.get(name, (None, None))
        same = _is_same(value, given) and (isinstance(value, str) or not self._remembers)
        if sample is None or not same:
            spec = self._manifest.input(name)
            payload = sound_block(value, spec.prepare.window) if isinstance(spec, AudioInput) else value
            self._prepare[name].check(payload, self._manifest.fixed(spec.shape)[0])
            copied = _copied(value)
            if payload is value and copied is not None:
                payload = copied  # a later moment may read it again, for example after a fault
            sample = Sample(name, sample.seq + 1 if sample else 0, t_ns, payload)
            self._given[name] = (copied, sample)
        state: State = "held" if same else "fresh"
        return Reading(state, sample)

    def _run(self, moment: Moment) -> tuple[Any, dict[str, float]]:
        flight = begin_moment(self._plan, moment)
        try:
            for task in flight.made:  # in the plan's order, so that the inputs of each are done
                task.started_ns = time.monotonic_ns()
                task.stage.run(task)
                task.ended_ns = time.monotonic_ns()
                task.done, task.dependents = True, []
            return flight.made[-1].result.outputs, latencies_ms(flight.made)
        finally:
            for task in flight.made:
                if not task.done:  # the next moment must not reuse it
                    task.done, task.error = True, WorkFailedError("the moment failed", action=task.stage.label)
                    forget_failed(task, {})
            flight.end()


def _is_same(value: Any, given: Any) -> bool:
    """By content, never by identity. What is neither text nor an array of moderate size is always new."""
    if isinstance(value, str):
        return isinstance(given, str) and bool(value == given)
    if not isinstance(value, np.ndarray) or not isinstance(given, np.ndarray):
        return False
    if value.dtype != given.dtype or value.shape != given.shape:
        return False
    return np.array_equal(value, given)


def _copied(value: Any) -> Any:
    """What the next value is compared with: a copy, since the caller may fill the same array again."""
    if not isinstance(value, np.ndarray):
        return value
    return value.copy() if value.nbytes <= MOST_COMPARED_BYTES else None


def _age(reading: Reading, now_ns: int) -> InputAge:
    if reading.sample is None:
        return InputAge(None, None, "missing")
    return InputAge(reading.sample.seq, ns_to_ms(now_ns - reading.sample.t_ns), reading.state)
