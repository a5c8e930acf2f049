"""The progress of a build: TensorRT's phases as one share, the remaining time, and a way to cancel it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mm_edge.runtime.engines.building import Step, Watch

if TYPE_CHECKING:
    from .names import IProgressMonitor, TensorRT

_REPORT_EVERY_S = 0.1
_GUESS_FROM = 0.02  # of the work: before that, the remaining time cannot be estimated


@dataclass
class _Phase:
    name: str
    parent: _Phase | None
    steps: int
    done: int = 0
    inside: float = 0.0  # the progress of the phases inside the current step


@dataclass
class Meter:
    """Combines TensorRT's phases. Called from TensorRT's threads."""

    label: str
    watch: Watch
    usual_s: float | None = None  # the duration of an earlier build
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _phases: dict[str, _Phase] = field(default_factory=dict)
    _started_s: float = field(default_factory=time.monotonic)
    _reported_s: float = float("-inf")
    _share: float = 0.0

    def begin(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._phases[name] = _Phase(name, self._phases.get(parent or ""), max(1, steps))
        self._report(name)

    def step(self, name: str, number: int) -> bool:
        """False makes TensorRT cancel the build."""
        with self._lock:
            if phase := self._phases.get(name):
                phase.done, phase.inside = number + 1, 0.0
                self._raise_shares(phase)
        self._report(name)
        return not self.watch.stopped.is_set()

    def end(self, name: str) -> None:
        with self._lock:
            if phase := self._phases.pop(name, None):
                phase.done, phase.inside = phase.steps, 0.0
                self._raise_shares(phase)

    def _raise_shares(self, phase: _Phase) -> None:
        """The progress of a phase is part of its parent's current step."""
        while phase.parent is not None:
            phase.parent.inside = _share_of(phase)
            phase = phase.parent
        # A build may have several phases without a parent, one after the other: the share never decreases.
        self._share = max(self._share, _share_of(phase))

    def _report(self, phase: str) -> None:
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._reported_s < _REPORT_EVERY_S:
                return
            self._reported_s, share = now_s, self._share
        elapsed_s = now_s - self._started_s
        self.watch.report(Step(self.label, phase, share, elapsed_s, self._left_s(share, elapsed_s)))

    def _left_s(self, share: float, elapsed_s: float) -> float | None:
        if self.usual_s is not None and self.usual_s > elapsed_s:
            return self.usual_s - elapsed_s
        return elapsed_s * (1 - share) / share if share >= _GUESS_FROM else None


def _share_of(phase: _Phase) -> float:
    return min(1.0, (phase.done + phase.inside) / phase.steps)


def make_monitor(trt: TensorRT, meter: Meter) -> IProgressMonitor:
    """The meter, with the interface that TensorRT calls."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the library ships no types
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # required by the binding

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            meter.begin(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return meter.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            meter.end(phase_name)

    return Monitor()
