"""The loop: admits moments, hands out their tasks to lanes, delivers predictions in order. No thread of its own;
lanes run it.

A lane that has finished a task gives it back and takes the next in one step: a task that has become ready (of the
oldest moment first), else the first ones of a new moment, if fewer than `depth` are in flight. Nothing is computed
under the lock.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from mm_edge.runtime.channel import FOREVER_NS
from mm_edge.runtime.clock import NS_PER_S

from .align import Over, Skip, Stop, Wait
from .stage import MISSING
from .task import Task

if TYPE_CHECKING:
    import threading

    from mm_edge.runtime.clock import Clock
    from mm_edge.sample import Moment

    from .align import Aligner
    from .plan import Plan


class Receiver(Protocol):
    """Who is told what became of each moment: in their order, from one thread at a time, without the lock."""

    def completed(self, moment: Moment, tasks: list[Task]) -> None: ...

    def failed(self, moment: Moment, error: Exception) -> None: ...


class _Flight:
    """A moment in flight: the tasks whose results it uses, and those that were made for it."""

    __slots__ = ("made", "moment", "used")

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.used: list[Task] = []
        self.made: list[Task] = []


class Loop:
    """Shared by all lanes. `lock` guards everything in it, the channels and the tasks. The plan has its places for
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
        self.skipped: Counter[str] = Counter()  # captures of the driver that gave no prediction, by cause
        self._plan, self._aligner, self._receiver, self._clock = plan, aligner, receiver, clock
        self._depth, self._reuse = depth, reuse
        self._ready: list[tuple[int, int, Task]] = []
        self._flying: dict[int, _Flight] = {}
        self._landed: dict[int, tuple[_Flight, list[Task], Exception | None]] = {}
        self._next_to_deliver = 0
        self._delivering = False
        self.over: Over | Stop | None = None  # why no further moment begins
        self._stopping = False

    # --- what lanes call -------------------------------------------------------------------------------------

    def exchange(self, done: Task | None) -> Task | None:
        """Gives back a finished task and waits for the next one. None: the loop is over, and the lane's thread ends."""
        with self.lock:
            if done is not None and self._finish(done):
                self._deliver()
            while True:
                task, until_ns = self._next()
                if task is not None:
                    if self._ready or (self._aligner.has_driver and self._may_admit()):
                        self.bell.notify()  # there is more to do than this lane can take
                    return task
                if self._stopping or (self.over is not None and not self._flying):
                    self.bell.notify_all()
                    return None
                self.bell.wait(
                    None if until_ns == FOREVER_NS else max(0.0, (until_ns - self._clock.now_ns()) / NS_PER_S)
                )

    def stop(self) -> None:
        """No further task is handed out."""
        with self.lock:
            self._stopping = True
            self.bell.notify_all()

    def finish_flying(self) -> None:
        """No further moment begins; those in flight are finished."""
        with self.lock:
            self.over = self.over or Over()
            self.bell.notify_all()

    @property
    def unfinished(self) -> int:
        """Captures of the driver that were taken and never told about: those in flight when the loop was stopped."""
        return len(self._flying) + len(self._landed) + (self._aligner.pending is not None)

    # --- under the lock --------------------------------------------------------------------------------------

    def _may_admit(self) -> bool:
        # Moments that are done but wait for an older one hold no buffers; as many of them as there are in flight may
        # wait.
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
        flight = _Flight(moment)
        keys: list[object] = []
        tasks: list[Task] = []
        for stage in self._plan.stages:
            key = stage.key(moment, keys)
            keys.append(key)
            last = stage.last
            if key is MISSING:
                tasks.append(stage.blank)
                continue
            if last is not None and last.key == key and self._reuse and last.error is None:
                task = last
            else:
                task = Task(stage, key, moment, stage.free.pop())
                task.inputs = [tasks[need] for need in stage.needs]
                if stage.in_order:
                    # The last moment's result may still be in the making, and must stay until this one has read it.
                    before = last if last is not None and last.error is None else stage.blank
                    task.inputs.append(before)
                    before.users += 1
                    flight.used.append(before)
                self._block(task)
                flight.made.append(task)
                stage.last = task
                task.users += 1
                if last is not None:
                    last.release()
            task.users += 1
            flight.used.append(task)
            tasks.append(task)
        self._flying[moment.seq] = flight

    def _block(self, task: Task) -> None:
        for source in task.inputs:
            if not source.done:
                source.dependents.append(task)
                task.blockers += 1
        if task.blockers == 0:
            heapq.heappush(self._ready, (task.moment.seq, task.stage.index, task))

    def _finish(self, done: Task) -> bool:
        """Wakes what waited for it. True: its moment has landed."""
        finished = [done]
        landed = False
        while finished:
            task = finished.pop()
            task.done = True
            for dependent in task.dependents:
                dependent.blockers -= 1
                if task.error is not None:
                    dependent.error = task.error
                if dependent.blockers == 0:
                    if dependent.error is not None:
                        finished.append(dependent)  # without what it needs it cannot run
                    else:
                        heapq.heappush(self._ready, (dependent.moment.seq, dependent.stage.index, dependent))
            task.dependents = []
            if task.stage is self._plan.stages[-1]:
                self._land(task)
                landed = True
        return landed

    def _land(self, decoded: Task) -> None:
        flight = self._flying.pop(decoded.moment.seq)
        # What is left in the air belongs to stages that no output waits for; their results stay until they are done.
        self._landed[decoded.moment.seq] = (flight, flight.made, decoded.error)
        for task in flight.used:
            task.release()

    def _deliver(self) -> None:
        """Tells the receiver, in order, and lets go of the lock meanwhile. One lane at a time does it; one that comes
        meanwhile leaves its moment to that one.
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
            self.bell.notify()  # a lane may have waited for room among those that have landed
        self._delivering = False
