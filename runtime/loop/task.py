"""One run of one stage: what it waits for, who uses its result, and when it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from mm_edge.runtime.engine import Value
    from mm_edge.sample import Moment

    from .stage import Stage


class Place:
    """The buffers that one result lives in. A stage owns a few and gives them out again once nobody uses the result."""

    __slots__ = ("extra", "values")

    def __init__(self, values: Mapping[str, Value], extra: Any = None) -> None:
        self.values, self.extra = values, extra


NOWHERE = Place({})  # where a result is that nobody needs any more


class Task:
    """Made when a moment begins, or taken over from an earlier moment whose inputs were the same. Guarded by the
    loop's lock.

    `users` counts who still needs the result: the moments in flight that read it, and the stage's memory of its
    newest one.
    """

    __slots__ = (
        "blockers",
        "dependents",
        "done",
        "ended_ns",
        "error",
        "inputs",
        "key",
        "moment",
        "place",
        "result",
        "stage",
        "started_ns",
        "users",
    )

    def __init__(self, stage: Stage, key: Hashable, moment: Moment, place: Place) -> None:
        self.stage, self.key, self.moment, self.place = stage, key, moment, place
        self.inputs: list[Task] = []
        self.blockers, self.dependents = 0, list[Task]()
        self.users = 0
        self.done = False
        self.error: Exception | None = None
        self.started_ns = self.ended_ns = 0
        self.result: Any = None

    def value(self, name: str) -> Value:
        return self.place.values[name]

    def release(self) -> None:
        """One user less; at the last one the place can hold another result."""
        self.users -= 1
        if self.users == 0:
            self.stage.free.append(self.place)
            self.place = NOWHERE
            self.inputs = []
