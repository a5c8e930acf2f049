"""The last stages of a moment: run a decode part token by token, and turn tensors into plain outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from mm_edge.runtime.decode import DecodeContext, Decoder, generate

from .stage import MISSING, NOWHERE, Place, Stage, Task, stage_label

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from mm_edge.runtime.engine import Buffer, Engine, Executable, Slot
    from mm_edge.sample import HeatMap, Moment
    from mm_edge.spec import TextOutput


class Feed(Struct, frozen=True):
    """The source of one input of a decode part: another stage's result, the last token, or the part's own last step."""

    position: int  # among the needed stages, or TOKEN or STATE
    name: str


TOKEN, STATE = -1, -2


class GenerateStage(Stage):
    """Runs a decode part until its end token. Two slots alternate, so that a step reads the state that the last one
    wrote.
    """

    def __init__(
        self,
        output: TextOutput,
        executable: Executable,
        engine: Engine,
        *,
        needs: Sequence[int],
        feeds: Sequence[Feed],
        token: tuple[tuple[int, ...], np.dtype[Any]],
    ) -> None:
        super().__init__(stage_label(executable.part.name), needs)
        self._output, self._executable, self._feeds, self._engine, self._token = (
            output,
            executable,
            feeds,
            engine,
            token,
        )
        self._logits = output.reads["logits"].rpartition(".")[2]

    def make_place(self) -> Place:
        token = self._engine.buffer(*self._token)
        slots = (self._executable.slot({self._logits}), self._executable.slot({self._logits}))
        return Place({"token": token}, (slots, token))

    def drop_place(self, place: Place) -> None:
        if place is not NOWHERE:
            for slot in place.extra[0]:
                self._executable.release(slot)
            self._engine.drop(place.extra[1])

    def run(self, task: Task) -> None:
        slots, token = task.place.extra
        for slot in slots:
            slot.clear()  # the state before the first step
        turns = [slots[0], slots[1]]

        def step(last: int) -> Any:
            now, before = turns
            token.wait_until_read()
            token.array[...] = last
            now.run([self._value(feed, task, before, token) for feed in self._feeds])
            turns.reverse()
            return now.outputs[self._logits].host()

        task.result = generate(self._output, step)

    @staticmethod
    def _value(feed: Feed, task: Task, before: Slot, token: Buffer) -> Any:
        if feed.position == TOKEN:
            return token
        return before.outputs[feed.name] if feed.position == STATE else task.inputs[feed.position].value(feed.name)


class Decoding(Struct, frozen=True):
    """One output: its decoder, and for each role the stage and the tensor. The tensor of generated tokens is '': they
    are the stage's own result.
    """

    decoder: Decoder
    roles: Mapping[str, tuple[int, str]]  # role -> position among the needed stages, tensor


class Decoded(Struct, frozen=True):
    """The decoded values of a moment, by output."""

    outputs: Mapping[str, Any]
    maps: Mapping[str, HeatMap]


class DecodeStage(Stage):
    """The end of a moment: waits for the outputs to be on the host, and decodes them. Its result is a Decoded."""

    ends_moment = True

    def __init__(
        self,
        decodings: Sequence[Decoding],
        needs: Sequence[int],
        geometries: Mapping[str, int],
        prompts: Mapping[str, Callable[[Any], tuple[str, ...]]],
    ) -> None:
        """`geometries`: which of the needed stages prepared a picture; `prompts`: splits the text of a text input into
        prompts.
        """
        super().__init__("decode", needs)
        self._decodings, self._geometries, self._prompts = decodings, geometries, prompts

    def make_place(self) -> Place:
        return Place({})

    def key(self, moment: Moment, _keys: Sequence[Hashable]) -> Hashable:
        return moment.seq  # every moment gives a prediction, even if its inputs are those of the last one

    def run(self, task: Task) -> None:
        readings = task.moment.readings
        context = DecodeContext(
            {
                name: task.inputs[at].result
                for name, at in self._geometries.items()
                if task.inputs[at].key is not MISSING
            },
            {name: split(sample.payload) for name, split in self._prompts.items() if (sample := readings[name].sample)},
        )
        outputs = {
            decoding.decoder.name: decoding.decoder.decode(
                {role: _array(task.inputs[at], tensor) for role, (at, tensor) in decoding.roles.items()}, context
            )
            for decoding in self._decodings
        }
        task.result = Decoded(outputs, context.maps)


def _array(task: Task, tensor: str) -> Any:
    if tensor:
        return task.value(tensor).host()
    return task.result if task.result is not None else np.zeros(0, np.int64)
