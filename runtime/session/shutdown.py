"""Ends the threads of a run within a fixed time, and closes its engine once no worker uses it any more."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mm_edge.runtime.loop.worker import Worker

log = logging.getLogger(__name__)
END_WITHIN_S = 0.8  # of a stop; a thread that has not ended by then is left running, and logged


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
            if self._running():
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
            self._close_pending = bool(self._running())
            if self._close_pending:
                return
        self._close_engine()

    def join_workers(self, until_s: float) -> list[str]:
        """The names of those that still run."""
        join(self.workers, until_s)
        with self._lock:
            return self._running()

    def _running(self) -> list[str]:
        return [worker.name for worker in self.workers if worker.ident is not None and not worker.has_ended]


def join(threads: Sequence[threading.Thread], until_s: float) -> list[str]:
    """Waits for threads that were started. The names of those that still run."""
    started = [thread for thread in threads if thread.ident is not None]
    for thread in started:
        thread.join(max(0.0, until_s - time.monotonic()))
    return [thread.name for thread in started if thread.is_alive()]
