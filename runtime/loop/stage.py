"""The stages that a moment passes: prepare an input, run a part, remember a history. Built once from the manifest.

A stage's key says what its result depends on. Where the key is that of the stage's newest task, that task is used
again: so an encoder runs only when its input has something new, and a text is encoded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mm_edge.sample import Moment, Sample

from .task import NOWHERE, Place, Task

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from mm_edge.bundle.manifest import Part
    from mm_edge.runtime.engine import Buffer, Engine, Executable, Slot
    from mm_edge.runtime.prepare import Preparer

NO_MOMENT: Final = Moment(-1, Sample("", -1, 0, None), {})
MISSING: Final = None  # the key of a stage that has nothing to work on in this moment: zeros stand in for its result


class Stage:
    """What all stages share. `needs` are the stages whose results of the same moment it reads, by index."""

    label: str
    index: int  # its place in the plan
    silent = False  # left out of the latencies: too small to be a stage of its own
    in_order = False  # this moment's run waits for the last moment's, whose result it also reads

    def __init__(self, label: str, needs: Sequence[int] = ()) -> None:
        self.label, self.needs = label, tuple(needs)
        self.free: list[Place] = []
        self.last: Task | None = None
        self.blank = Task(self, MISSING, NO_MOMENT, NOWHERE)
        self.blank.done = True

    def own_places(self, count: int) -> None:
        """Makes all buffers before the first moment, so that the loop allocates nothing."""
        for _ in range(count):
            self.free.append(self.make_place())
        self.blank.place = self.make_place()
        self.blank.users = 1  # never given back

    def make_place(self) -> Place:
        raise NotImplementedError

    def drop_places(self) -> None:
        """Gives back what `own_places` made, all of it or the part that there was room for."""
        for place in (*self.free, self.blank.place):
            self.drop_place(place)
        self.free, self.blank.place = [], NOWHERE

    def drop_place(self, place: Place) -> None:
        """Gives back what `make_place` took."""

    def key(self, _moment: Moment, keys: Sequence[Hashable]) -> Hashable:
        """Several inputs: as long as one of them is there, the stage runs and zeros stand in for the others."""
        own = tuple(keys[index] for index in self.needs)
        return MISSING if all(key is MISSING for key in own) else own

    def run(self, task: Task) -> None:
        raise NotImplementedError


class PrepareStage(Stage):
    """Brings one input's sample into the form that the graphs take, straight into the buffer that they read."""

    def __init__(self, name: str, preparer: Preparer, engine: Engine, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(f"prepare.{name}")
        self.input, self.in_order = name, preparer.in_order
        self._preparer, self._engine, self._shapes = preparer, engine, shapes

    def make_place(self) -> Place:
        fields = self._preparer.fields
        buffers: dict[str, Buffer] = {
            field: self._engine.buffer(self._shapes[field], np.dtype(spec.dtype)) for field, spec in fields.items()
        }
        return Place(buffers, (buffers, {field: buffer.array for field, buffer in buffers.items()}))

    def drop_place(self, place: Place) -> None:
        if place is not NOWHERE:
            for buffer in place.extra[0].values():
                self._engine.drop(buffer)

    def key(self, moment: Moment, _keys: Sequence[Hashable]) -> Hashable:
        sample = moment.readings[self.input].sample
        return MISSING if sample is None else sample.seq

    def run(self, task: Task) -> None:
        sample = task.moment.readings[self.input].sample
        if sample is not None:  # it is there, or the stage had no key and would not run
            buffers, arrays = task.place.extra
            for buffer in buffers.values():
                buffer.wait_until_read()
            task.result = self._preparer.write(sample.payload, arrays)


class PresenceStage(Stage):
    """The mask that tells a model which of its inputs are there, in the order of the manifest's inputs."""

    silent = True

    def __init__(self, inputs: Sequence[str], engine: Engine, batch: int) -> None:
        super().__init__("presence")
        self._inputs, self._engine, self._batch = inputs, engine, batch

    def make_place(self) -> Place:
        buffer = self._engine.buffer((self._batch, len(self._inputs)), np.dtype(np.float32))
        return Place({"": buffer}, buffer)

    def drop_place(self, place: Place) -> None:
        if place is not NOWHERE:
            self._engine.drop(place.extra)

    def key(self, moment: Moment, _keys: Sequence[Hashable]) -> Hashable:
        return tuple(moment.readings[name].sample is not None for name in self._inputs)

    def run(self, task: Task) -> None:
        buffer: Buffer = task.place.extra
        buffer.wait_until_read()
        buffer.array[:] = task.key


class HistoryStage(Stage):
    """The last N results of another stage, oldest first, along a new axis 1; zeros before there were any."""

    silent = True
    in_order = True

    def __init__(
        self,
        source: int,
        tensor: str,
        length: int,
        engine: Engine,
        *,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        super().__init__(f"history.{tensor}", [source])
        self._tensor, self._history = tensor, engine.history(shape, dtype, length)

    def make_place(self) -> Place:
        room = self._history.room()
        return Place({"": room}, room)

    def drop_place(self, place: Place) -> None:
        if place is not NOWHERE:
            self._history.drop(place.extra)

    def run(self, task: Task) -> None:
        self._history.push(task.inputs[0].value(self._tensor), task.place.extra)


class PartStage(Stage):
    """Runs one graph. `feeds`: for each of its inputs, which needed stage gives it and under which name.

    A position just behind `needs` is the part's own newest result: its state.
    """

    def __init__(
        self, part: Part, executable: Executable, needs: Sequence[int], feeds: Sequence[tuple[int, str]]
    ) -> None:
        super().__init__(stage_label(part.name), needs)
        self.part, self.executable = part, executable
        self.to_host: set[str] = set()  # the outputs that somebody reads on the host
        self._feeds = feeds
        self.in_order = any(position == len(self.needs) for position, _ in feeds)
        self._ticks = 0

    def make_place(self) -> Place:
        slot = self.executable.slot(self.to_host)
        return Place(slot.outputs, slot)

    def drop_place(self, place: Place) -> None:
        if place is not NOWHERE:
            self.executable.release(place.extra)

    def key(self, moment: Moment, keys: Sequence[Hashable]) -> Hashable:
        key = super().key(moment, keys)
        # A part with a state gives something else every tick, whatever it reads.
        return (key, moment.seq) if self.in_order and key is not MISSING else key

    def run(self, task: Task) -> None:
        slot: Slot = task.place.extra
        slot.run([task.inputs[position].value(name) for position, name in self._feeds])


def stage_label(part: str) -> str:
    """How latencies call a part: encode_image is the stage encode.image."""
    return part.replace("_", ".", 1)
