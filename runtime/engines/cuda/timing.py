"""When the device really computed and copied: pairs of events, told to the trace on the clock of the host's spans."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from mm_edge.runtime.clock import ms_to_ns

if TYPE_CHECKING:
    from pycuda.driver import Event, Stream

    from mm_edge.runtime.trace import Trace

    from .device import Device

TRIES = 9  # of holding the device's clock against the host's; the quickest is the truest


class Timeline:
    """The device's clock beside the host's: one event, and what the host's clock showed when it happened."""

    def __init__(self, device: Device, trace: Trace) -> None:
        self.device, self.trace, self._slots = device, trace, Counter[str]()
        self.event, self.event_ns = min((self._look() for _ in range(TRIES)), key=lambda look: look[2])[:2]

    def slot(self, part: str) -> tuple[Spans, Spans, Spans]:
        """Of one more slot of the part: its inputs' way in, its runs, its results' way home. All slots of a part
        compute on one stream; each copies on one of its own.
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
    """What a slot tells of one of the things that it has the device do, run after run."""

    def begin(self, stream: Stream) -> None: ...

    def end(self, stream: Stream) -> None: ...

    def tell(self) -> None: ...


class NoSpans:
    """Nobody wants to know."""

    def begin(self, stream: Stream) -> None: ...

    def end(self, stream: Stream) -> None: ...

    def tell(self) -> None: ...


UNTOLD: tuple[Spans, Spans, Spans] = (NoSpans(), NoSpans(), NoSpans())


class DeviceSpans:
    """Two events a run; what they say is read when the slot runs again, and so never waited for.

    CUDA gives the time between two events as a float of milliseconds, which is the coarser the longer it is. So each
    run is measured from the end of the slot's run before.
    """

    def __init__(self, timeline: Timeline, lane: str, label: str) -> None:
        self._timeline, self._lane, self._label = timeline, lane, label
        self._base, self._base_ns = timeline.event, timeline.event_ns
        self._begin, self._end, self._spare = (timeline.device.event(timed=True) for _ in range(3))
        self._ran = False

    def begin(self, stream: Stream) -> None:
        self.tell()
        self._begin.record(stream)

    def end(self, stream: Stream) -> None:
        self._end.record(stream)
        self._ran = True

    def tell(self) -> None:
        """The run before this one, if it is over."""
        if not self._ran:
            return
        self._ran = False
        try:
            begin_ns = self._base_ns + ms_to_ns(self._begin.time_since(self._base))
            end_ns = begin_ns + ms_to_ns(self._end.time_since(self._begin))
        except self._timeline.device.error:
            return  # a moment that failed left it unfinished: there is nothing to tell
        self._timeline.trace.span(self._lane, self._label, begin_ns, end_ns)
        self._base, self._base_ns = self._end, end_ns
        self._end, self._spare = self._spare, self._end
