"""The loop: admits moments, gives their tasks to workers, delivers results in order. It has no thread of its own: the
workers call it.

A worker that has finished a task returns it and takes the next one in a single call: a ready task of the moment that
began first, or the first task of a new moment if few enough are in flight. Nothing is computed under the lock.

Several streams (cameras) take turns: the next moment belongs to the one whose last turn is the longest ago. By capture
times alone a camera with a constant delay, or an unlucky phase, could keep another one waiting forever.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from mm_edge.runtime.channel import FOREVER_NS
from mm_edge.runtime.clock import NS_PER_S

from .align import Over, Skip, Stop, Wait
from .flight import begin_moment, forget_failed

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from mm_edge.runtime.clock import Clock
    from mm_edge.sample import Moment

    from .plan import Plan
    from .stage import Task
    from .stream import Stream


class Loop:
    """Shared by all workers. `lock` guards everything in it, the channels and the tasks. At most `most_flying` moments
    of all streams are in flight at once.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        clock: Clock,
        *,
        lock: threading.Lock,
        bell: threading.Condition,
        most_flying: int,
        reuse: bool = True,
    ) -> None:
        self.lock, self.bell = lock, bell
        self.streams = tuple(streams)
        self._by_turn = list(streams)  # the one whose last turn is the longest ago comes first
        self._clock, self._most_flying, self._reuse = clock, most_flying, reuse
        self._ready: list[tuple[int, int, Task]] = []
        self._turns = self._flying = 0
        self.over: Over | Stop | None = None  # why no more moments begin
        self._stopping = False

    # --- called by workers -----------------------------------------------------------------------------------

    def exchange(self, done: Task | None) -> Task | None:
        """Returns a finished task and waits for the next one. None: the loop has ended, and the worker ends."""
        with self.lock:
            if done is not None:
                for stream in self._finish(done):
                    self._deliver(stream)
            while True:
                task, until_ns = self._next()
                if task is not None:
                    if self._ready or self._has_waiting():
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

    def replace_plans(self, plans: Sequence[Plan]) -> None:
        """Moments that begin from now on use other plans, one for each stream; those in flight finish on theirs."""
        with self.lock:
            for stream, plan in zip(self.streams, plans, strict=True):
                stream.use(plan)

    # --- under the lock --------------------------------------------------------------------------------------

    def _may_begin(self) -> bool:
        return self._flying < self._most_flying and self.over is None

    def _has_waiting(self) -> bool:
        """Whether a moment could begin now."""
        if self._may_begin():
            for stream in self._by_turn:  # without a generator: this runs for every task
                if stream.may_begin and stream.aligner.has_driver:
                    return True
        return False

    def _next(self) -> tuple[Task | None, int]:
        if self._stopping:
            return None, FOREVER_NS
        until_ns = FOREVER_NS if self._ready else self._admit()
        if not self._ready:
            return None, until_ns
        return heapq.heappop(self._ready)[2], until_ns

    def _admit(self) -> int:
        """Begins moments until a task is ready. Returns when a tick that waits must be looked at again."""
        until_ns, at = FOREVER_NS, 0
        while not self._ready and at < len(self._by_turn) and self._may_begin():
            stream = self._by_turn[at]
            if not stream.may_begin:
                at += 1
                continue
            step = stream.aligner.next(self._clock.now_ns())
            if isinstance(step, Wait):
                until_ns = min(until_ns, step.until_ns)
                at += 1
            elif isinstance(step, Skip):
                stream.skipped["skipped"] += 1
            elif isinstance(step, (Over, Stop)):
                self._end(stream, step)
            else:
                self._begin(stream, step)
                self._by_turn.append(self._by_turn.pop(at))
        return until_ns

    def _end(self, stream: Stream, why: Over | Stop) -> None:
        """A stream has ended: the run ends with the last one, or at once if a rule stops it."""
        stream.over = why
        if isinstance(why, Stop):
            stream.skipped["stopped"] += 1
            self.over = why
        elif all(other.over is not None for other in self.streams):
            self.over = why
        else:
            stream.aligner.close_channels()  # of inputs that others still use

    def _begin(self, stream: Stream, moment: Moment) -> None:
        stream.flying[moment.seq] = flight = begin_moment(stream.plan, moment, reuse=self._reuse)
        self._flying += 1
        for task in flight.made:
            task.turn = self._turns
            if task.blockers == 0:
                self._push(task)
        self._turns += 1

    def _push(self, task: Task) -> None:
        heapq.heappush(self._ready, (task.turn, task.stage.index, task))

    def _finish(self, done: Task) -> Sequence[Stream]:
        """Makes tasks ready that waited for it. Returns the streams of which a moment is complete now."""
        finished = [done]
        landed: list[Stream] = []
        while finished:
            task = finished.pop()
            task.done = True
            if task.error is not None:
                forget_failed(task, self.streams[task.stage.stream].flying)
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
                landed.append(self._land(task))
        return landed

    def _land(self, decoded: Task) -> Stream:
        stream = self.streams[decoded.stage.stream]
        flight = stream.flying.pop(decoded.moment.seq)
        self._flying -= 1
        # Tasks that still run belong to stages that no output reads; their results stay until they are done.
        stream.landed[decoded.moment.seq] = (flight, flight.made, decoded.error)
        flight.end()
        return stream

    def _deliver(self, stream: Stream) -> None:
        """Calls the receiver, in order, with the lock released. One worker at a time does this for a stream; it also
        delivers the moments that others complete meanwhile.
        """
        if stream.delivering:
            return
        stream.delivering = True
        while (entry := stream.landed.get(stream.next_to_deliver)) is not None:
            flight, tasks, error = entry
            self.lock.release()
            try:
                if error is None:
                    stream.receiver.completed(flight.moment, tasks)
                else:
                    stream.receiver.failed(flight.moment, error)
            finally:
                self.lock.acquire()
            was_full = stream.is_full_of_landed
            del stream.landed[stream.next_to_deliver]
            stream.next_to_deliver += 1
            if was_full:
                self.bell.notify()  # a worker may wait until fewer moments await delivery
        stream.delivering = False
