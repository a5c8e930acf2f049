"""A stage of the plan, and a task: one run of that stage for one moment. The concrete stages are in stages.py.

A stage's key says what its result depends on. If it equals the key of the stage's newest task, that task is reused: so
an encoder runs only when its input has a new sample, and a text is encoded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mm_edge.sample import Moment, Sample

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from mm_edge.runtime.engine import Value

NO_MOMENT: Final = Moment(-1, Sample("", -1, 0, None), {})
MISSING: Final = None  # the key of a stage that has no input in this moment: zeros replace its result


class Place:
    """The buffers of one result. A stage owns a few, and reuses each once no task reads its result any more."""

    __slots__ = ("extra", "values")

    def __init__(self, values: Mapping[str, Value], extra: Any = None) -> None:
        self.values, self.extra = values, extra


NOWHERE = Place({})  # the place of a result that was released


class Task:
    """Created when a moment begins, or reused from an earlier moment with the same inputs. Guarded by the loop's lock.

    `users` counts who still needs the result: the moments in flight that read it, and the stage, which keeps its newest
    one.
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
        "turn",
        "users",
    )

    def __init__(self, stage: Stage, key: Hashable, moment: Moment, place: Place) -> None:
        self.stage, self.key, self.moment, self.place = stage, key, moment, place
        self.inputs: list[Task] = []
        self.blockers, self.dependents = 0, list[Task]()
        self.users = self.turn = 0  # `turn`: how many moments of all streams began before it was created
        self.done = False
        self.error: Exception | None = None
        self.started_ns = self.ended_ns = 0
        self.result: Any = None

    def value(self, name: str) -> Value:
        return self.place.values[name]

    def release(self) -> None:
        """One user less; after the last one the place is free for another result."""
        self.users -= 1
        if self.users == 0:
            self.stage.free.append(self.place)
            self.place = NOWHERE
            self.inputs = []


class Stage:
    """The base of all stages. `needs` are the indexes of the stages whose results of the same moment it reads."""

    label: str
    index: int  # its position in the plan
    silent = False  # left out of the latencies: too small to be a stage of its own
    in_order = False  # this moment's run waits for the last moment's, whose result it also reads
    ends_moment = False  # the moment is complete when this stage is done
    stream = 0  # the number of the stream whose moments it serves
    twins: tuple[Stage, ...] = ()  # the same stage of other streams, where all of them share results

    def __init__(self, label: str, needs: Sequence[int] = ()) -> None:
        self.label, self.needs = label, tuple(needs)
        self.free: list[Place] = []
        self.last: Task | None = None
        self.blank = Task(self, MISSING, NO_MOMENT, NOWHERE)
        self.blank.done = True

    def own_places(self, count: int) -> None:
        """Allocates all buffers before the first moment, so that the loop allocates nothing."""
        for _ in range(count):
            self.free.append(self.make_place())
        self.blank.place = self.make_place()
        self.blank.users = 1  # never released

    def make_place(self) -> Place:
        raise NotImplementedError

    def drop_places(self) -> None:
        """Frees what `own_places` allocated, even if it ran out of memory half way."""
        for place in (*self.free, self.blank.place):
            self.drop_place(place)
        self.free.clear()  # twins have it too
        self.blank.place = NOWHERE

    def drop_place(self, place: Place) -> None:
        """Frees what `make_place` allocated."""

    def result_of_twin(self, key: Hashable) -> Task | None:
        """Another stream's newest result, if it has this key; from now on this stage keeps it too."""
        for twin in self.twins:
            task = twin.last
            if task is not None and task.key == key and task.error is None:
                if self.last is not None:
                    self.last.release()
                self.last = task
                task.users += 1
                return task
        return None

    def key(self, _moment: Moment, keys: Sequence[Hashable]) -> Hashable:
        """With several inputs the stage runs if any of them is present; zeros replace the others."""
        own = tuple(keys[index] for index in self.needs)
        return MISSING if all(key is MISSING for key in own) else own

    def run(self, task: Task) -> None:
        raise NotImplementedError


def stage_label(part: str) -> str:
    """The name of a part in the latencies: encode_image is the stage encode.image."""
    return part.replace("_", ".", 1)
