"""When the device really computed and copied: pairs of events, recorded in the trace on the host's clock."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from mm_edge.runtime.clock import ms_to_ns

if TYPE_CHECKING:
    from pycuda.driver import Event, Stream

    from mm_edge.runtime.trace import Trace

    from .device import Device

TRIES = 9  # of comparing the device's clock with the host's; the quickest one is the most accurate


class Timeline:
    """Relates the device's clock to the host's: one event, and the host's time when it happened."""

    def __init__(self, device: Device, trace: Trace) -> None:
        self.device, self.trace, self._slots = device, trace, Counter[str]()
        self.event, self.event_ns = min((self._look() for _ in range(TRIES)), key=lambda look: look[2])[:2]

    def slot(self, part: str) -> tuple[Spans, Spans, Spans]:
        """For one more slot of the part: the copies of its inputs, its runs, the copies of its results. All slots of a
        part compute on one stream; each copies on its own.
        """
        self._slots[part] += 1
        runs, copies = f"GPU {part}", f"GPU copies {part} {self._slots[part]}"
        return DeviceSpans(self, copies, "in"), DeviceSpans(self, runs, part), DeviceSpans(self, copies, "home")

    def _look(self) -> tuple[Event, int, int]:
        event, stream = self.device.event(timed=True), self.device.stream()
        before_ns = time.monotonic_ns()
        event.record(stream)
        event.synchronize()
        window_ns = time.monotonic_ns() - before_ns
        return event, before_ns + window_ns // 2, window_ns


class Spans(Protocol):
    """Records one kind of work of a slot, run after run."""

    def begin(self, stream: Stream) -> None: ...

    def end(self, stream: Stream) -> None: ...

    def report(self) -> None: ...


class NoSpans:
    """The run is not traced."""

    def begin(self, stream: Stream) -> None: ...

    def end(self, stream: Stream) -> None: ...

    def report(self) -> None: ...


NO_SPANS: tuple[Spans, Spans, Spans] = (NoSpans(), NoSpans(), NoSpans())


class DeviceSpans:
    """Two events per run. They are read when the slot runs again, so that nothing waits for them.

    CUDA gives the time between two events as a float of milliseconds, which is coarser the longer it is. So each run is
    measured from the end of the slot's previous run.
    """

    def __init__(self, timeline: Timeline, track: str, label: str) -> None:
        self._timeline, self._track, self._label = timeline, track, label
        self._base, self._base_ns = timeline.event, timeline.event_ns
        self._begin, self._end, self._spare = (timeline.device.event(timed=True) for _ in range(3))
        self._ran = False

    def begin(self, stream: Stream) -> None:
        self.report()
        self._begin.record(stream)

    def end(self, stream: Stream) -> None:
        self._end.record(stream)
        self._ran = True

    def report(self) -> None:
        """Adds the previous run to the trace, if it has ended."""
        if not self._ran:
            return
        self._ran = False
        try:
            begin_ns = self._base_ns + ms_to_ns(self._begin.time_since(self._base))
            end_ns = begin_ns + ms_to_ns(self._end.time_since(self._begin))
        except self._timeline.device.error:
            return  # a failed moment left it unfinished: there is nothing to record
        self._timeline.trace.span(self._track, self._label, begin_ns, end_ns)
        self._base, self._base_ns = self._end, end_ns
        self._end, self._spare = self._spare, self._end
