"""The loop: admits moments, gives their tasks to workers, delivers results in order. It has no thread of its own: the
workers call it.

A worker that has finished a task returns it and takes the next one in a single call: a ready task of the oldest moment,
or the first task of a new moment if fewer than `depth` are in flight. Nothing is computed under the lock.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from mm_edge.runtime.channel import FOREVER_NS
from mm_edge.runtime.clock import NS_PER_S

from .align import Over, Skip, Stop, Wait
from .flight import Flight, begin_moment, forget_failed

if TYPE_CHECKING:
    import threading

    from mm_edge.runtime.clock import Clock
    from mm_edge.sample import Moment

    from .align import Aligner
    from .plan import Plan
    from .stage import Task


class Receiver(Protocol):
    """Gets the result of each moment: in order, from one thread at a time, without the lock."""

    def completed(self, moment: Moment, tasks: list[Task]) -> None: ...

    def failed(self, moment: Moment, error: Exception) -> None: ...


class Loop:
    """Shared by all workers. `lock` guards everything in it, the channels and the tasks. The plan owns places for
    `depth` moments.
    """

    def __init__(
        self,
        plan: Plan,
        aligner: Aligner,
        receiver: Receiver,
        clock: Clock,
        *,
        lock: threading.Lock,
        bell: threading.Condition,
        depth: int,
        reuse: bool = True,
    ) -> None:
        self.lock, self.bell = lock, bell
        self.skipped: Counter[str] = Counter()  # captures of the driver without a prediction, by cause
        self._plan, self._aligner, self._receiver, self._clock = plan, aligner, receiver, clock
        self._depth, self._reuse = depth, reuse
        self._ready: list[tuple[int, int, Task]] = []
        self._flying: dict[int, Flight] = {}
        self._landed: dict[int, tuple[Flight, list[Task], Exception | None]] = {}
        self._next_to_deliver = 0
        self._delivering = False
        self.over: Over | Stop | None = None  # why no more moments begin
        self._stopping = False

    # --- called by workers -----------------------------------------------------------------------------------

    def exchange(self, done: Task | None) -> Task | None:
        """Returns a finished task and waits for the next one. None: the loop has ended, and the worker ends."""
        with self.lock:
            if done is not None and self._finish(done):
                self._deliver()
            while True:
                task, until_ns = self._next()
                if task is not None:
                    if self._ready or (self._aligner.has_driver and self._may_admit()):
                        self.bell.notify()  # there is work for another worker
                    return task
                if self._stopping or (self.over is not None and not self._flying):
                    self.bell.notify_all()
                    return None
                self.bell.wait(
                    None if until_ns == FOREVER_NS else max(0.0, (until_ns - self._clock.now_ns()) / NS_PER_S)
                )

    def stop(self) -> None:
        """Gives out no more tasks."""
        with self.lock:
            self._stopping = True
            self.bell.notify_all()

    def finish_flying(self) -> None:
        """Begins no more moments; those in flight are finished."""
        with self.lock:
            self.over = self.over or Over()
            self.bell.notify_all()

    def replace_plan(self, plan: Plan) -> None:
        """Moments that begin from now on use another plan for the same bundle; those in flight finish on theirs."""
        with self.lock:
            self._plan = plan

    @property
    def unfinished(self) -> int:
        """Captures of the driver without a result: those in flight when the loop was stopped."""
        return len(self._flying) + len(self._landed) + (self._aligner.pending is not None)

    # --- under the lock --------------------------------------------------------------------------------------

    def _may_admit(self) -> bool:
        # Moments that are done and wait for an older one use no buffers; at most `depth` of them may wait.
        return self.over is None and len(self._flying) < self._depth and len(self._landed) < self._depth

    def _next(self) -> tuple[Task | None, int]:
        if self._stopping:
            return None, FOREVER_NS
        until_ns = FOREVER_NS
        while not self._ready and self._may_admit():
            step = self._aligner.next(self._clock.now_ns())
            if isinstance(step, Wait):
                until_ns = step.until_ns
                break
            if isinstance(step, Skip):
                self.skipped["skipped"] += 1
            elif isinstance(step, (Over, Stop)):
                self.over = step
                if isinstance(step, Stop):
                    self.skipped["stopped"] += 1
            else:
                self._begin(step)
        if not self._ready:
            return None, until_ns
        return heapq.heappop(self._ready)[2], until_ns

    def _begin(self, moment: Moment) -> None:
        self._flying[moment.seq] = flight = begin_moment(self._plan, moment, reuse=self._reuse)
        for task in flight.made:
            if task.blockers == 0:
                self._push(task)

    def _push(self, task: Task) -> None:
        heapq.heappush(self._ready, (task.moment.seq, task.stage.index, task))

    def _finish(self, done: Task) -> bool:
        """Makes tasks ready that waited for it. True: its moment is complete."""
        finished = [done]
        landed = False
        while finished:
            task = finished.pop()
            task.done = True
            if task.error is not None:
                forget_failed(task, self._flying)
            for dependent in task.dependents:
                dependent.blockers -= 1
                if task.error is not None and task in dependent.inputs:
                    dependent.error = task.error
                if dependent.blockers == 0:
                    if dependent.error is not None:
                        finished.append(dependent)  # it cannot run without its inputs
                    else:
                        self._push(dependent)
            task.dependents = []
            if task.stage.ends_moment:
                self._land(task)
                landed = True
        return landed

    def _land(self, decoded: Task) -> None:
        flight = self._flying.pop(decoded.moment.seq)
        # Tasks that still run belong to stages that no output reads; their results stay until they are done.
        self._landed[decoded.moment.seq] = (flight, flight.made, decoded.error)
        flight.end()

    def _deliver(self) -> None:
        """Calls the receiver, in order, with the lock released. One worker at a time does this; it also delivers the
        moments that others complete meanwhile.
        """
        if self._delivering:
            return
        self._delivering = True
        while (entry := self._landed.get(self._next_to_deliver)) is not None:
            flight, tasks, error = entry
            self.lock.release()
            try:
                if error is None:
                    self._receiver.completed(flight.moment, tasks)
                else:
                    self._receiver.failed(flight.moment, error)
            finally:
                self.lock.acquire()
            del self._landed[self._next_to_deliver]
            self._next_to_deliver += 1
            self.bell.notify()  # a worker may wait until fewer moments await delivery
        self._delivering = False
