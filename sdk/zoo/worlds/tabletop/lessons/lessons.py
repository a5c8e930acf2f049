"""Pairs pictures, sounds and phrases into lessons with exact labels; each lesson follows from seed and number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import NONE
from mm_edge.zoo.worlds.tabletop.phrases import wordings
from mm_edge.zoo.worlds.tabletop.signs import SIGNS
from mm_edge.zoo.worlds.tabletop.sound import WINDOW

from .naming import ask, bodies_in
from .places import CELLS, hull, shares

if TYPE_CHECKING:
    import numpy.typing as npt

    from mm_edge.zoo.arrays import Floats, Ints
    from mm_edge.zoo.worlds.tabletop.cache import World
    from mm_edge.zoo.worlds.tabletop.scene import Split

    from .naming import Asked

COMMANDS = (*SIGNS, "none")
IMAGE, AUDIO, TEXT = range(3)  # the columns of presence


@dataclass(frozen=True)
class Mix:
    """How often what is missing, and how sign and word meet. They never contradict: nothing says who would be right."""

    no_audio: float = 0.18
    no_image: float = 0.18
    no_text: float = 0.06
    word_with_sign: float = 0.7
    word_without_sign: float = 0.45
    body_present: float = 0.68
    whole_name: float = 0.7  # colour and shape; else one of the two, where that is clear


USUAL = Mix(body_present=0.55)
# Taught to decide with: both senses together err seldom, each alone errs more often, so one that is alone with what it
# says should be believed less than as many lone words as the examination holds would teach.
BELIEVED = replace(USUAL, word_with_sign=0.8, word_without_sign=0.25)
ALL_THERE = Mix(no_audio=0, no_image=0, no_text=0)
BOTH_SAY = Mix(no_audio=0, no_image=0, no_text=0, word_with_sign=1.0, word_without_sign=0.0)


@dataclass(frozen=True)
class Lessons:
    """A batch. `feeds` as the graph sees them; the rest are labels (see places.py for `cells` and `hulls`).

    `command` is what follows from what is there: with the microphone missing, a word that only it would hear is none.
    """

    feeds: dict[str, npt.NDArray[Any]]
    command: Ints
    sign: Ints
    word: Ints
    cells: Floats
    hulls: list[Ints]


def lessons(world: World, numbers: Ints, seed: tuple[int, ...], *, mix: Mix = USUAL) -> Lessons:
    """The lessons for these pictures; sounds and phrases are drawn by the seed."""
    rng = np.random.default_rng(seed)
    pictures, ids, things = np.array(world.pictures[numbers]), np.array(world.ids[numbers]), world.things[numbers]
    sign = world.signs[numbers].astype(np.int64)
    word, sounds = _sounds(world, rng, sign, mix)
    presence = presence_of(rng, len(numbers), mix)
    heard = np.where(presence[:, AUDIO] > 0, word, NONE)
    seen = np.where(presence[:, IMAGE] > 0, sign, NONE)
    bodies = [bodies_in(ids[row], things[row]) for row in range(len(numbers))]
    asked = [ask(rng, there, mix.body_present, mix.whole_name) for there in bodies]
    text = wording_of(rng, world.split, asked)
    told = (presence[:, IMAGE] > 0) & (presence[:, TEXT] > 0)
    slots = [one.slot if here else None for one, here in zip(asked, told, strict=True)]
    return Lessons(
        {"image": pictures, "audio": sounds, "text": text, "presence": presence},
        np.where(heard != NONE, heard, seen),
        sign,
        word,
        np.stack([shares(ids[row], slot) for row, slot in enumerate(slots)]),
        [hull(ids[row], slot) for row, slot in enumerate(slots)],
    )


def wording_of(rng: np.random.Generator, split: Split, asked: list[Asked]) -> Ints:
    """Token ids of one wording for each: [n, length]."""
    table = wordings(split)
    return np.stack([table[one.color, one.shape, rng.integers(table.shape[2])] for one in asked])


def presence_of(rng: np.random.Generator, count: int, mix: Mix) -> Floats:
    """Sound and picture are never missing both: nothing could be asked then."""
    presence = np.ones((count, 3), np.float32)
    draw = rng.random(count)
    presence[draw < mix.no_audio, AUDIO] = 0
    presence[(draw >= mix.no_audio) & (draw < mix.no_audio + mix.no_image), IMAGE] = 0
    presence[rng.random(count) < mix.no_text, TEXT] = 0
    return presence


def words_for(rng: np.random.Generator, sign: Ints, mix: Mix) -> Ints:
    """What is said beside each sign."""
    speaks = rng.random(len(sign)) < np.where(sign != NONE, mix.word_with_sign, mix.word_without_sign)
    return np.where(speaks, np.where(sign != NONE, sign, rng.integers(NONE, size=len(sign))), NONE).astype(np.int64)


def _sounds(world: World, rng: np.random.Generator, sign: Ints, mix: Mix) -> tuple[Ints, Floats]:
    by_word = [np.flatnonzero(world.words == number) for number in range(NONE + 1)]
    word = words_for(rng, sign, mix)
    sounds = np.empty((len(sign), WINDOW), np.float32)
    for row, which in enumerate(word):
        sounds[row] = world.sounds[by_word[which][rng.integers(len(by_word[which]))]]
    return word, sounds / 32768


__all__ = ["ALL_THERE", "BELIEVED", "BOTH_SAY", "CELLS", "COMMANDS", "USUAL", "Lessons", "Mix", "lessons"]
