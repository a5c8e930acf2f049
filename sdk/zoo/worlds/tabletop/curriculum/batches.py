"""Pairs pictures, sounds and phrases into batches with exact labels, reproducible from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import NONE
from mm_edge.zoo.worlds.tabletop.phrases import wordings
from mm_edge.zoo.worlds.tabletop.signs import SIGNS
from mm_edge.zoo.worlds.tabletop.sound import WINDOW

from .queries import ask, bodies_in
from .targets import CELLS, hull, shares

if TYPE_CHECKING:
    import numpy.typing as npt

    from mm_edge.zoo.arrays import Floats, Ints
    from mm_edge.zoo.worlds.tabletop.cache import World
    from mm_edge.zoo.worlds.tabletop.scene import Split

    from .queries import Query

COMMANDS = (*SIGNS, "none")
IMAGE, AUDIO, TEXT = range(3)  # the columns of presence


@dataclass(frozen=True)
class Mix:
    """How often inputs are missing, and how sign and word are paired. They never contradict each other."""

    no_audio: float = 0.18
    no_image: float = 0.18
    no_text: float = 0.06
    word_with_sign: float = 0.7
    word_without_sign: float = 0.45
    body_present: float = 0.68
    whole_name: float = 0.7  # colour and shape; else one of the two, where that is clear


DEFAULT_MIX = Mix(body_present=0.55)
# For the fusion: two modalities that agree are rarely wrong, one alone is wrong more often, so single-modality evidence
# must be weighted less than the share of lone words in the evaluation would teach.
FUSION_MIX = replace(DEFAULT_MIX, word_with_sign=0.8, word_without_sign=0.25)
ALL_PRESENT = Mix(no_audio=0, no_image=0, no_text=0)
SIGN_AND_WORD = Mix(no_audio=0, no_image=0, no_text=0, word_with_sign=1.0, word_without_sign=0.0)


@dataclass(frozen=True)
class Batch:
    """`feeds` as the graph takes them; the rest are labels (targets.py describes `cells` and `hulls`).

    `command` follows from the present inputs: with the microphone missing, a spoken word does not count.
    """

    feeds: dict[str, npt.NDArray[Any]]
    command: Ints
    sign: Ints
    word: Ints
    cells: Floats
    hulls: list[Ints]


def make_batch(world: World, numbers: Ints, seed: tuple[int, ...], *, mix: Mix = DEFAULT_MIX) -> Batch:
    """A batch of these pictures; the seed draws sounds and phrases."""
    rng = np.random.default_rng(seed)
    pictures, ids, things = np.array(world.pictures[numbers]), np.array(world.ids[numbers]), world.things[numbers]
    sign = world.signs[numbers].astype(np.int64)
    word, sounds = _sounds(world, rng, sign, mix)
    presence = presence_of(rng, len(numbers), mix)
    heard = np.where(presence[:, AUDIO] > 0, word, NONE)
    seen = np.where(presence[:, IMAGE] > 0, sign, NONE)
    bodies = [bodies_in(ids[row], things[row]) for row in range(len(numbers))]
    queries = [ask(rng, there, mix.body_present, mix.whole_name) for there in bodies]
    text = wording_of(rng, world.split, queries)
    labelled = (presence[:, IMAGE] > 0) & (presence[:, TEXT] > 0)
    slots = [one.slot if here else None for one, here in zip(queries, labelled, strict=True)]
    return Batch(
        {"image": pictures, "audio": sounds, "text": text, "presence": presence},
        np.where(heard != NONE, heard, seen),
        sign,
        word,
        np.stack([shares(ids[row], slot) for row, slot in enumerate(slots)]),
        [hull(ids[row], slot) for row, slot in enumerate(slots)],
    )


def wording_of(rng: np.random.Generator, split: Split, queries: list[Query]) -> Ints:
    """Token ids of one wording for each: [n, length]."""
    table = wordings(split)
    return np.stack([table[one.color, one.shape, rng.integers(table.shape[2])] for one in queries])


def presence_of(rng: np.random.Generator, count: int, mix: Mix) -> Floats:
    """Sound and picture are never both missing: no label would be defined."""
    presence = np.ones((count, 3), np.float32)
    draw = rng.random(count)
    presence[draw < mix.no_audio, AUDIO] = 0
    presence[(draw >= mix.no_audio) & (draw < mix.no_audio + mix.no_image), IMAGE] = 0
    presence[rng.random(count) < mix.no_text, TEXT] = 0
    return presence


def words_for(rng: np.random.Generator, sign: Ints, mix: Mix) -> Ints:
    """The word spoken with each sign."""
    speaks = rng.random(len(sign)) < np.where(sign != NONE, mix.word_with_sign, mix.word_without_sign)
    return np.where(speaks, np.where(sign != NONE, sign, rng.integers(NONE, size=len(sign))), NONE).astype(np.int64)


def _sounds(world: World, rng: np.random.Generator, sign: Ints, mix: Mix) -> tuple[Ints, Floats]:
    by_word = [np.flatnonzero(world.words == number) for number in range(NONE + 1)]
    word = words_for(rng, sign, mix)
    sounds = np.empty((len(sign), WINDOW), np.float32)
    for row, which in enumerate(word):
        sounds[row] = world.sounds[by_word[which][rng.integers(len(by_word[which]))]]
    return word, sounds / 32768


__all__ = [
    "ALL_PRESENT",
    "CELLS",
    "COMMANDS",
    "DEFAULT_MIX",
    "FUSION_MIX",
    "SIGN_AND_WORD",
    "Batch",
    "Mix",
    "make_batch",
]
