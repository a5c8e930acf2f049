"""Runs one sink in its own thread behind a bounded channel, so that a slow or failing sink affects only itself."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, TypeAlias

from mm_edge.errors import MmEdgeError, UsageError, WorkFailedError, as_exception
from mm_edge.runtime.channel import Channel, Policy
from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S
from mm_edge.runtime.sink import ItemLostError, ReaderGoneError, RunInfo, Sink, Summary
from mm_edge.sample import Event, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.runtime.clock import Clock

log = logging.getLogger(__name__)
Item: TypeAlias = Prediction | Event | Summary
CAPACITY = 64
CAPACITY_WITH_SAMPLES = 4
STUCK_NS = 500 * NS_PER_MS


class SinkKeeper(threading.Thread):
    """`report(name, state, detail)` is called when the sink ends or fails, is stuck, or accepts items again. `cameras`:
    how many may deliver at the same time.
    """

    def __init__(
        self, sink: Sink, policy: Policy, clock: Clock, report: Callable[[str, str, str], None], cameras: int = 1
    ) -> None:
        super().__init__(name=f"mm-edge-sink-{sink.name}", daemon=True)
        self.sink = sink
        capacity = max(CAPACITY_WITH_SAMPLES, 2 * cameras) if sink.wants_samples else CAPACITY
        self.channel: Channel[Item] = Channel(capacity, policy)
        self.error: Exception | None = None
        self._clock, self._report = clock, report
        self._busy_since_ns: int | None = None
        self._stuck = False
        self._taken = 0
        self.over = False  # it has failed, or its reader has gone
        self.tried_to_open = threading.Event()
        self.usage_error: UsageError | None = None  # raised by the sink's `open`

    def begin(self, info: RunInfo) -> None:
        self._info = info
        self.start()

    def run(self) -> None:
        item: Item | None = None
        try:
            self._open()
            while (item := self.channel.wait_take()) is not None:
                self._busy_since_ns = self._clock.now_ns()
                self._take(item)
                self._busy_since_ns = None
                self._taken += 1
                self._no_longer_stuck()
        except BaseException as error:  # noqa: BLE001  # a sink may raise anything; the run continues without it
            gone = isinstance(error, ReaderGoneError)
            self.error = None if gone else as_exception(error, action=f"writing to {self.sink.name}")
            self._busy_since_ns, self.over = None, True
            self._close_sink()
            self._report(self.event_name, "ended" if gone else "failed", str(error))
            self._discard(item, "unread" if gone else "failed")
        else:
            self._close_sink()

    def _open(self) -> None:
        self._busy_since_ns = self._clock.now_ns()  # a pipe that nobody reads blocks here
        try:
            self.sink.open(self._info)
        except UsageError as error:
            self.usage_error = error
            raise
        finally:
            self.tried_to_open.set()
        self._busy_since_ns = None
        self._no_longer_stuck()

    def _take(self, item: Item) -> None:
        try:
            self.sink.take(item)
        except ItemLostError as error:
            if isinstance(item, Prediction):
                with self.channel.lock:
                    self.channel.dropped["failed"] += 1
            if self.error is None:
                self._report(self.event_name, "failed", str(error))
            self.error = error
            return
        if self.error is not None:
            self.error = None
            lost = self.channel.dropped["failed"]
            self._report(self.event_name, "live", f"it works again; {lost} predictions were lost")

    def _discard(self, item: Item | None, cause: str) -> None:
        """After its end: nobody waits for room, and what the sink misses until the end is counted."""
        while item is not None or (item := self.channel.wait_take()) is not None:
            with self.channel.lock:
                if isinstance(item, Prediction):
                    self.channel.dropped[cause] += 1
                self._taken += 1
            item = None

    @property
    def drained(self) -> bool:
        """Whether the sink has taken everything that was delivered."""
        with self.channel.lock:
            return not self.is_alive() or self._taken + self.channel.dropped["overrun"] == self.channel.given

    @property
    def blocks(self) -> bool:
        """Whether a worker may be waiting for room."""
        return self.channel.policy == "wait" and len(self.channel.items) >= self.channel.capacity

    def busy_s(self, now_ns: int) -> float:
        """How long it has been busy with one item."""
        since_ns = self._busy_since_ns
        return 0.0 if since_ns is None else (now_ns - since_ns) / NS_PER_S

    def give_up(self, *, requested: bool) -> None:
        """Discards what it has not taken; the predictions among it are counted. Unless that was requested by an
        interrupt, the sink has failed.
        """
        with self.channel.lock:
            if lost := sum(isinstance(item, Prediction) for item in self.channel.items):
                self.channel.dropped["unfinished"] += lost
                if not requested and self.error is None:
                    found = f"it was busy with one item for too long; predictions not delivered: {lost}"
                    self.error = WorkFailedError(found, action=f"writing to {self.sink.name}")
            self.channel.items.clear()
            self.channel.policy = "drop_oldest"  # there is always room for the summary

    def end(self, summary: Summary) -> None:
        """Sends the summary, and lets the sink finish."""
        if self.ident is None:
            return
        self.channel.put(summary)
        self.channel.close()

    @property
    def failure(self) -> MmEdgeError | None:
        """What ended it, as an error of this package."""
        if self.error is None or isinstance(self.error, MmEdgeError):
            return self.error
        failure = WorkFailedError(f"{self.error}", action=f"writing to {self.sink.name}")
        failure.__cause__ = self.error
        return failure

    @property
    def event_name(self) -> str:
        return f"sink.{self.sink.name}"

    def check(self, now_ns: int) -> None:
        since_ns = self._busy_since_ns
        if since_ns is not None and not self._stuck and now_ns - since_ns > STUCK_NS:
            self._stuck = True
            self._report(
                self.event_name,
                "stalled",
                f"busy for {(now_ns - since_ns) / NS_PER_MS:.0f} ms; items that do not fit its queue are dropped",
            )

    def _no_longer_stuck(self) -> None:
        if self._stuck:
            self._stuck = False
            self._report(self.event_name, "live", "it accepts items again")

    def _close_sink(self) -> None:
        try:
            self.sink.close()
        except BaseException as error:
            log.exception("closing %s failed", self.event_name)
            self.error = self.error or as_exception(error, action=f"closing {self.sink.name}")
