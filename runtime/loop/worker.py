"""A worker: one thread that runs tasks, one after the other, until the loop has no more."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mm_edge.errors import as_exception

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.trace import Trace

    from .loop import Loop
    from .nvtx import Ranges


class Worker(threading.Thread):
    """`prepare_thread` is called once in the thread, for priorities and affinity; `ended` at its end. An exception of a
    task is stored in the task.
    """

    def __init__(
        self,
        number: int,
        loop: Loop,
        engine: Engine,
        *,
        prepare_thread: Callable[[], None],
        ended: Callable[[], None],
        trace: Trace | None,
        ranges: Ranges | None = None,
    ) -> None:
        super().__init__(name=f"mm-edge-worker-{number}", daemon=True)
        self.error: Exception | None = None  # a fault of the loop itself, never of a task
        self.has_ended = False  # it has detached from the engine and does not touch it any more
        self._loop, self._engine, self._trace, self._ranges = loop, engine, trace, ranges
        self._prepare_thread, self._ended = prepare_thread, ended

    def run(self) -> None:
        try:
            self._prepare_thread()
            self._engine.attach()
            try:
                self._work()
            finally:
                self._engine.detach()
        except BaseException as error:  # noqa: BLE001  # the run raises it in the thread of its owner
            self.error = as_exception(error, action=f"running {self.name}")
            self._loop.stop()
        finally:
            self.has_ended = True
            self._ended()

    def _work(self) -> None:
        now_ns, trace, ranges = time.monotonic_ns, self._trace, self._ranges
        task = self._loop.exchange(None)
        while task is not None:
            task.started_ns = now_ns()
            if ranges is not None:
                ranges.begin(task)
            try:
                task.stage.run(task)
            except BaseException as error:  # noqa: BLE001  # the moment fails and is reported; the worker continues
                task.error = as_exception(error, action=task.stage.label)
            task.ended_ns = now_ns()
            if ranges is not None:
                ranges.end()
            if trace is not None:
                trace.span(self.name, task.stage.label, task.started_ns, task.ended_ns, task.turn)
            task = self._loop.exchange(task)
