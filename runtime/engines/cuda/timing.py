"""When the device really computed: pairs of events, told to the trace on the same clock as the host's spans."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mm_edge.runtime.clock import ms_to_ns

if TYPE_CHECKING:
    from pycuda.driver import Event, Stream

    from mm_edge.runtime.trace import Trace

    from .device import Device

TRIES = 9  # of holding the device's clock against the host's; the quickest is the truest


class Timeline:
    """The device's clock beside the host's: one event, and what the host's clock showed when it happened."""

    def __init__(self, device: Device, trace: Trace) -> None:
        self.device, self.trace = device, trace
        self.event, self.event_ns = min((self._look() for _ in range(TRIES)), key=lambda look: look[2])[:2]

    def slot(self, part: str) -> SlotTiming:
        return SlotTiming(self, part)

    def _look(self) -> tuple[Event, int, int]:
        event, stream = self.device.event(timed=True), self.device.stream()
        before_ns = time.monotonic_ns()
        event.record(stream)
        event.synchronize()
        window_ns = time.monotonic_ns() - before_ns
        return event, before_ns + window_ns // 2, window_ns


class SlotTiming:
    """Two events a run; what they say is read when the slot runs again, and so never waited for.

    CUDA gives the time between two events as a float of milliseconds, which is the coarser the longer it is. So each
    run is measured from the end of the slot's run before.
    """

    def __init__(self, timeline: Timeline, part: str) -> None:
        self._timeline, self._part = timeline, part
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
        self._timeline.trace.span(f"GPU {self._part}", self._part, begin_ns, end_ns)
        self._base, self._base_ns = self._end, end_ns
        self._end, self._spare = self._spare, self._end
