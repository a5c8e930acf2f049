"""How far a build is: TensorRT's phases as one figure, with the time that is left, and a way to stop it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mm_edge.runtime.engines.building import Step, Watch

if TYPE_CHECKING:
    from .names import IProgressMonitor, TensorRT

_TELL_EVERY_S = 0.1
_GUESS_FROM = 0.02  # of the work: before that the time that is left would be a guess


@dataclass
class _Phase:
    name: str
    parent: _Phase | None
    steps: int
    done: int = 0
    inside: float = 0.0  # of the step that runs: how far its own phases are


@dataclass
class Meter:
    """Adds TensorRT's phases up. Called from threads of TensorRT's own."""

    label: str
    watch: Watch
    usual_s: float | None = None  # how long the same took before
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _phases: dict[str, _Phase] = field(default_factory=dict)
    _started_s: float = field(default_factory=time.monotonic)
    _told_s: float = float("-inf")
    _share: float = 0.0

    def begin(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._phases[name] = _Phase(name, self._phases.get(parent or ""), max(1, steps))
        self._report(name)

    def step(self, name: str, number: int) -> bool:
        """False asks TensorRT to give up."""
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
        """A phase fills the step of its parent that it runs in."""
        while phase.parent is not None:
            phase.parent.inside = _share_of(phase)
            phase = phase.parent
        # A build may have several phases without a parent, one after the other: the figure never falls.
        self._share = max(self._share, _share_of(phase))

    def _report(self, phase: str) -> None:
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._told_s < _TELL_EVERY_S:
                return
            self._told_s, share = now_s, self._share
        elapsed_s = now_s - self._started_s
        self.watch.report(Step(self.label, phase, share, elapsed_s, self._left_s(share, elapsed_s)))

    def _left_s(self, share: float, elapsed_s: float) -> float | None:
        if self.usual_s is not None and self.usual_s > elapsed_s:
            return self.usual_s - elapsed_s
        return elapsed_s * (1 - share) / share if share >= _GUESS_FROM else None


def _share_of(phase: _Phase) -> float:
    return min(1.0, (phase.done + phase.inside) / phase.steps)


def make_monitor(trt: TensorRT, meter: Meter) -> IProgressMonitor:
    """The meter, as TensorRT wants to call it."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the library ships no types
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # the binding demands it

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            meter.begin(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return meter.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            meter.end(phase_name)

    return Monitor()
