"""One moment in flight: the tasks it needs, which of them must run, and which are reused from earlier moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.runtime.clock import ns_to_ms

from .stage import MISSING, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mm_edge.sample import Moment

    from .plan import Plan
    from .stage import Stage


class Flight:
    """`used`: every task whose result the moment reads; `made`: those that were created for it, in the plan's order."""

    __slots__ = ("made", "moment", "used")

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.used: list[Task] = []
        self.made: list[Task] = []

    def end(self) -> None:
        """Releases the results, which other moments may still use."""
        for task in self.used:
            task.release()


def begin_moment(plan: Plan, moment: Moment, *, reuse: bool = True) -> Flight:
    """Creates the tasks of a moment, or reuses those whose inputs have not changed. Every task in `made` counts in
    `blockers` how many of its inputs are not done. Called with the loop's lock held, where there is a loop.
    """
    flight = Flight(moment)
    keys: list[object] = []
    tasks: list[Task] = []
    for stage in plan.stages:
        key = stage.key(moment, keys)
        keys.append(key)
        last = stage.last
        if key is MISSING:
            tasks.append(stage.blank)
            continue
        if last is not None and last.key == key and reuse and last.error is None:
            task = last
        elif reuse and stage.twins and (shared := stage.result_of_twin(key)) is not None:
            task = shared
        else:
            task = _make(stage, key, flight, tasks)
        task.users += 1
        flight.used.append(task)
        tasks.append(task)
    return flight


def forget_failed(task: Task, flights: Mapping[int, Flight]) -> None:
    """A stage that runs in order continues from the result before the failed one, so that a fault costs one moment.

    `flights`: those that are not complete, by the number of their moment. Called before the failed task is released.
    """
    stage = task.stage
    if not stage.in_order:
        return
    before = task.inputs[-1]  # done, and not failed: it was replaced in the same way otherwise
    for later in [dependent for dependent in task.dependents if dependent.stage is stage]:
        later.inputs[-1] = before
        used = flights[later.moment.seq].used
        used[used.index(task)] = before
        before.users += 1
        task.release()
    if stage.last is task:
        stage.last = None if before is stage.blank else before
        before.users += before is not stage.blank
        task.release()


def latencies_ms(tasks: Iterable[Task]) -> dict[str, float]:
    """How long each stage ran, by its label."""
    return {task.stage.label: ns_to_ms(task.ended_ns - task.started_ns) for task in tasks if not task.stage.silent}


def _make(stage: Stage, key: object, flight: Flight, tasks: list[Task]) -> Task:
    last = stage.last
    task = Task(stage, key, flight.moment, stage.free.pop())
    task.inputs = [tasks[need] for need in stage.needs]
    if stage.in_order:
        # The last moment's result may still be computed, and must stay until this task has read it.
        before = last if last is not None else stage.blank
        task.inputs.append(before)
        before.users += 1
        flight.used.append(before)
    for source in task.inputs:
        if not source.done:
            source.dependents.append(task)
            task.blockers += 1
    flight.made.append(task)
    stage.last = task
    task.users += 1
    if last is not None:
        last.release()
    return task
