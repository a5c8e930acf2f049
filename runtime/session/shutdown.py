"""Ends a run: waits until its sinks have taken everything, and closes its engine once no worker uses it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mm_edge.runtime.clock import Clock
    from mm_edge.runtime.loop.worker import Worker

    from .sink_keeper import SinkKeeper

log = logging.getLogger(__name__)
END_WITHIN_S = 0.8  # of a stop; a thread that has not ended by then is left running, and logged
STUCK_WITHIN_S = 10.0  # of a live run: a sink that is busy with one item for so long is not waited for
CHECK_EVERY_S = 0.002
LOG_AFTER_S = 2.0


class Shutdown:
    """`close_engine` is called exactly once: by `close_when_unused`, or else by the last worker that ends after it.

    A worker counts as ended as soon as it has detached from the engine: its thread may live a little longer.
    """

    def __init__(self, close_engine: Callable[[], None], on_last_worker: Callable[[], None]) -> None:
        self.workers: Sequence[Worker] = ()
        self._close_engine, self._on_last_worker = close_engine, on_last_worker
        self._lock, self._close_pending = threading.Lock(), False

    def worker_ended(self) -> None:
        """Called by each worker as its last act."""
        with self._lock:
            if self.running():
                return
            close, self._close_pending = self._close_pending, False
        self._on_last_worker()
        if close:
            try:
                self._close_engine()
            except Exception:
                log.exception("closing the engine failed")

    def close_when_unused(self) -> None:
        with self._lock:
            self._close_pending = bool(self.running())
            if self._close_pending:
                return
        self._close_engine()

    def join_workers(self, until_s: float) -> list[str]:
        """The names of those that still run."""
        join(self.workers, until_s)
        with self._lock:
            return self.running()

    def running(self) -> list[str]:
        return [worker.name for worker in self.workers if worker.ident is not None and not worker.has_ended]


class Drain:
    """Waits until the sinks have taken all predictions. Only a hurried end, or a sink of a live run that hangs, loses
    some, which are counted.
    """

    def __init__(self, sinks: Sequence[SinkKeeper], clock: Clock, *, played: bool) -> None:
        self.hurried = False  # set by an interrupt, perhaps while it waits: nothing but the flag is touched there
        self._sinks, self._clock, self._played = sinks, clock, played

    def wait(self, hurried_until_s: float) -> None:
        log_at_s = time.monotonic() + LOG_AFTER_S
        while waiting := [sink for sink in self._sinks if not sink.drained and not self._hangs(sink)]:
            now_s = time.monotonic()
            if self.hurried:
                if now_s >= hurried_until_s:
                    break
            else:
                hurried_until_s = now_s + END_WITHIN_S / 2
            if now_s >= log_at_s:
                log_at_s = float("inf")
                names = ", ".join(f"{sink.sink.name} ({len(sink.channel.items)} left)" for sink in waiting)
                log.info("waiting until everything is delivered to %s; Ctrl-C gives up", names)
            time.sleep(CHECK_EVERY_S)
        for sink in self._sinks:
            sink.give_up(requested=self.hurried)

    def _hangs(self, sink: SinkKeeper) -> bool:
        return not self._played and sink.busy_s(self._clock.now_ns()) > STUCK_WITHIN_S


def join(threads: Sequence[threading.Thread], until_s: float) -> list[str]:
    """Waits for threads that were started. The names of those that still run."""
    started = [thread for thread in threads if thread.ident is not None]
    for thread in started:
        thread.join(max(0.0, until_s - time.monotonic()))
    return [thread.name for thread in started if thread.is_alive()]
