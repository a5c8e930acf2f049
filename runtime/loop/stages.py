"""The stages that a moment passes: prepare an input, run a part, remember a history. Built once from the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .stage import MISSING, NOWHERE, Place, Stage, Task, stage_label

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import Any

    from mm_edge.bundle.manifest import Part
    from mm_edge.runtime.engine import Buffer, Engine, Executable, Slot
    from mm_edge.runtime.prepare import Preparer
    from mm_edge.sample import Moment


class PrepareStage(Stage):
    """Converts one input's sample into the tensors that the graphs take, directly in the buffers that they read."""

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
        if sample is not None:  # always: without a sample the key is MISSING and the stage does not run
            buffers, arrays = task.place.extra
            for buffer in buffers.values():
                buffer.wait_until_read()
            task.result = self._preparer.write(sample.payload, arrays)


class PresenceStage(Stage):
    """The mask that says which inputs are present, in the order of the manifest's inputs."""

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
    """The last N results of another stage, oldest first, along a new axis 1; zeros until N results exist."""

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
    """Runs one graph. `feeds`: for each of its inputs, the position in `needs` of its stage, and the name there.

    The position just after `needs` is the part's own newest result: its state.
    """

    def __init__(
        self, part: Part, executable: Executable, needs: Sequence[int], feeds: Sequence[tuple[int, str]]
    ) -> None:
        super().__init__(stage_label(part.name), needs)
        self.part, self.executable = part, executable
        self.to_host: set[str] = set()  # the outputs that are read on the host
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
        # A part with a state gives another result at every tick, even from the same inputs.
        return (key, moment.seq) if self.in_order and key is not MISSING else key

    def run(self, task: Task) -> None:
        slot: Slot = task.place.extra
        slot.run([task.inputs[position].value(name) for position, name in self._feeds])
