"""Runs one source: opens it, reads it, reports its state, and reopens it after a loss. All retries are here."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from mm_edge.errors import InputError, MmEdgeError, WorkFailedError, as_exception
from mm_edge.runtime.clock import NS_PER_MS
from mm_edge.sample import Health, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mm_edge.runtime.clock import Clock
    from mm_edge.runtime.source import Opened, Source
    from mm_edge.runtime.trace import Trace

    from .streams.feeds import AnyChannel

T = TypeVar("T")
log = logging.getLogger(__name__)
OPEN_WITHIN_S = 15.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 1.0  # a try is cheap, and a camera that is back should be used soon
STALL_PERIODS = 3
STALL_GRACE_NS = 300 * NS_PER_MS  # so that a source with jitter is not reported as stale


class SourceKeeper(threading.Thread):
    """Owns a source: only this thread uses it, except for `interrupt`. The watchdog calls `check`.

    `report(name, state, detail)` is called at every change of state, from this thread or from the watchdog. `check`
    raises an InputError for a payload that the model cannot use: it is refused, and reported once for each reason.
    `can_open_later`: a device that is absent at the start is one that was lost, as one of several cameras is.
    """

    def __init__(
        self,
        source: Source,
        channel: AnyChannel,
        clock: Clock,
        report: Callable[[str, Health, str], None],
        *,
        go: threading.Event,
        check: Callable[[Any], None] = lambda _: None,
        can_open_later: bool = False,
        trace: Trace | None = None,
    ) -> None:
        super().__init__(name=f"mm-edge-{source.name}", daemon=True)
        self.source, self.channel = source, channel
        self.state: Health = "starting"
        self.opened: Opened | None = None
        self.first_error: Exception | None = None
        self.absent_at_start: MmEdgeError | None = None  # why it has to be opened later
        self._can_open_later = can_open_later and source.live
        self.refused = ""  # why the newest capture was refused
        self.tried_to_open = threading.Event()  # for the first time, with success or not
        self._clock, self._report, self._go, self._trace = clock, report, go, trace
        self._check = check
        self._stopping = threading.Event()
        self._state_lock = threading.Lock()
        self._seq = 0
        self._last_ns: int | None = None  # when the last capture arrived; None while silence is no fault
        self._period_ns: float = 0.0

    def run(self) -> None:
        try:
            self._open_first()
            retry_s = FIRST_RETRY_S if self.absent_at_start is None else self._reopen(FIRST_RETRY_S)
            while not self._stopping.is_set():
                before = self._seq
                try:
                    self._read_until_end()
                except MmEdgeError as error:
                    self._become("lost", str(error))
                    if not self.source.live:
                        self.first_error = error  # a truncated file stays truncated
                        return
                else:
                    return
                self.source.close()
                retry_s = self._reopen(FIRST_RETRY_S if self._seq > before else retry_s)
        except BaseException as error:  # noqa: BLE001  # also a SystemExit or a panic: it must not look like a normal end
            self._fail(error)
        finally:
            self._guarded(self.source.close)
            self.tried_to_open.set()
            self.channel.close()

    def stop(self) -> None:
        self._stopping.set()
        self._last_ns = None
        self._guarded(self.source.interrupt)

    def figures(self) -> dict[str, float]:
        """Of the source, for the summary."""
        return dict(self._guarded(self.source.figures) or {})

    def _guarded(self, call: Callable[[], T]) -> T | None:
        """The rest of the run ends as usual whatever a source raises then; the run reports it."""
        try:
            return call()
        except BaseException as error:  # noqa: BLE001  # a source may raise anything
            self._fail(error)
            return None

    def _fail(self, error: BaseException) -> None:
        log.error("unexpected error in source %s", self.source.name, exc_info=error)
        self._become("lost", f"{type(error).__name__}: {error}")
        self.first_error = self.first_error or as_exception(error, action=f"reading {self.source.name}")

    def check(self, now_ns: int) -> None:
        """Reports a source as stale that has been silent for a few of its periods: a blocked read cannot report
        itself.
        """
        last_ns, period_ns = self._last_ns, self._period_ns
        if last_ns is None or self.state != "live" or self._stopping.is_set():
            return
        silent_ns = now_ns - last_ns
        if silent_ns > STALL_PERIODS * period_ns + STALL_GRACE_NS:
            self._become(
                "stale",
                f"no sample for {silent_ns / NS_PER_MS:.0f} ms; one is expected every {period_ns / NS_PER_MS:.1f} ms",
                only_from="live",
            )

    def _open_first(self) -> None:
        try:
            self.opened = self.source.open()
        except MmEdgeError as error:
            self._become("lost", str(error))
            if not self._can_open_later:
                self.first_error = error
                self._stopping.set()
                return
            self.source.close()
            self.absent_at_start = error
        if self.opened is not None and self.opened.ready:
            self._forward_one()
        self.tried_to_open.set()
        self._go.wait()

    def _read_until_end(self) -> None:
        """The driver raises a loss."""
        self._start_timing()
        while not self._stopping.is_set() and self._forward_one():
            pass
        if not self._stopping.is_set():
            self._become("ended", "")

    def _forward_one(self) -> bool:
        capture = self.source.read()
        if capture is None:
            return False
        now_ns = self._clock.now_ns()
        sample = Sample(self.source.input, self._seq, capture.t_ns, capture.payload, capture.shift_ns, capture.until_ns)
        self._seq += 1
        if self._last_ns is not None:
            # The measured period; a long gap counts as a few periods, so that it does not hide the next one.
            gap_ns = min(now_ns - self._last_ns, STALL_PERIODS * self._period_ns)
            self._period_ns += (gap_ns - self._period_ns) / 8
            self._last_ns = now_ns
        if self.state != "live":
            self._become("live", self.opened.detail if self.opened else "")
        if not self._accepts(sample):
            self.channel.refuse(sample)
            return True
        self.channel.put(sample)
        if self._trace is not None:
            self._trace.instant(self.source.name, f"{sample.input} {sample.seq}", sample.t_ns)
        return True

    def _accepts(self, sample: Sample) -> bool:
        try:
            self._check(sample.payload)
        except InputError as error:
            if self.refused != str(error):
                self.refused = str(error)
                self._report(self.source.name, "refused", self.refused)
            return False
        if self.refused:
            self.refused = ""
            self._report(self.source.name, "live", "its captures can be used again")
        return True

    def _start_timing(self) -> None:
        if self.source.live and self.opened and self.opened.period_ns:
            self._last_ns, self._period_ns = self._clock.now_ns(), float(self.opened.period_ns)

    def _reopen(self, retry_s: float) -> float:
        """Tries until it opens. Returns how long to wait next time, in case it is lost again at once."""
        self._last_ns = None
        while not self._stopping.wait(retry_s):
            self._become("reconnecting", f"after {retry_s:.1f} s")
            retry_s = min(2 * retry_s, LONGEST_RETRY_S)
            try:
                self.opened = self.source.open()
            except MmEdgeError as error:
                log.debug("%s is not back yet: %s", self.source.name, error)
                self.source.close()
            else:
                self._start_timing()
                break
        return retry_s

    def _become(self, state: Health, detail: str, only_from: Health | None = None) -> None:
        with self._state_lock:
            if state == self.state or (only_from is not None and self.state != only_from):
                return
            self.state = state
        self._report(self.source.name, state, detail)


def wait_until_open(keepers: Sequence[SourceKeeper], cameras: Collection[str]) -> None:
    """Raises the error of a source that cannot be opened. One of several cameras may be absent, if another is open."""
    until_s = time.monotonic() + OPEN_WITHIN_S
    for keeper in keepers:
        if not keeper.tried_to_open.wait(max(0.0, until_s - time.monotonic())) and keeper.source.name not in cameras:
            raise _too_slow(keeper)
        if keeper.first_error is not None:
            raise keeper.first_error
    of_cameras = [keeper for keeper in keepers if keeper.source.name in cameras]
    if of_cameras and all(keeper.opened is None for keeper in of_cameras):
        raise of_cameras[0].absent_at_start or _too_slow(of_cameras[0])


def _too_slow(keeper: SourceKeeper) -> WorkFailedError:
    return WorkFailedError(
        f"it did not open within {OPEN_WITHIN_S:.0f} s",
        action=f"opening {keeper.source.name}",
        hint="mm-edge devices lists the devices that are present",
    )
