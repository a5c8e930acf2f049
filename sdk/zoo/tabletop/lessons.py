"""Pairs pictures, sounds and phrases into lessons with exact labels; each lesson follows from seed and number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .cache import NONE
from .close import Shown, cut
from .naming import ask, bodies_in
from .phrases import wordings
from .places import CELLS, OUTSIDE, hull, regions, shares
from .signs import SIGNS
from .sound import WINDOW
from .vary import moved, recolored

if TYPE_CHECKING:
    import numpy.typing as npt

    from mm_edge.zoo.arrays import Floats, Ints

    from .cache import World
    from .naming import Asked
    from .places import Regions

COMMANDS = (*SIGNS, "none")
IMAGE, AUDIO, TEXT = range(3)  # the columns of presence
MOVED_SHARE = RECOLORED_SHARE = 0.5  # of the pictures of a training step
RETUNED_SHARE, RETUNED = 0.5, (-0.12, 0.16)  # of its sounds; the logarithm of how much faster


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
ALL_THERE = Mix(no_audio=0, no_image=0, no_text=0)
BOTH_SAY = Mix(no_audio=0, no_image=0, no_text=0, word_with_sign=1.0, word_without_sign=0.0)


@dataclass(frozen=True)
class Lessons:
    """A batch. `feeds` as the graph sees them; the rest are labels (see places.py for `cells`, `hulls` and `regions`).

    `command` is what follows from what is there: with the microphone missing, a word that only it would hear is none.
    `sign` and `command` are OUTSIDE where a piece shows too little of a sign to say.
    `more_text` [n, more, length] and `more_cells` are further phrases for the same pictures, all inputs being there.
    """

    feeds: dict[str, npt.NDArray[Any]]
    command: Ints
    sign: Ints
    word: Ints
    cells: Floats
    hulls: list[Ints]
    regions: Regions
    more_text: Ints
    more_cells: Floats


def lessons(
    world: World,
    numbers: Ints,
    seed: tuple[int, ...],
    *,
    mix: Mix = USUAL,
    augment: bool = False,
    close: bool = False,
    more: int = 0,
) -> Lessons:
    """The lessons for these pictures, or for a piece of each; sounds and phrases are drawn by the seed."""
    rng = np.random.default_rng(seed)
    word, sounds = _sounds(world, rng, world.signs[numbers].astype(np.int64), mix, augment=augment)
    pictures, ids, things, sign = cut(world, rng, numbers) if close else _pictures(world, rng, numbers, augment=augment)
    presence = _presence(rng, len(numbers), mix)
    heard = np.where(presence[:, AUDIO] > 0, word, NONE)
    seen = np.where(presence[:, IMAGE] > 0, sign, NONE)
    bodies = [bodies_in(ids[row], things[row]) for row in range(len(numbers))]
    asked = [ask(rng, there, mix.body_present, mix.whole_name) for there in bodies]
    text = _worded(rng, world, asked)
    told = (presence[:, IMAGE] > 0) & (presence[:, TEXT] > 0)
    slots = [one.slot if here else None for one, here in zip(asked, told, strict=True)]
    cells = np.stack([shares(ids[row], slot) for row, slot in enumerate(slots)])
    hulls = [hull(ids[row], slot) for row, slot in enumerate(slots)]
    if augment:
        some = np.flatnonzero(rng.random(len(numbers)) < RECOLORED_SHARE)
        pictures[some] = recolored(rng, pictures[some])
    others = [[ask(rng, there, mix.body_present, mix.whole_name) for there in bodies] for _ in range(more)]
    more_text = [_worded(rng, world, other) for other in others]
    more_cells = [np.stack([shares(ids[row], one.slot) for row, one in enumerate(other)]) for other in others]
    feeds = {"image": pictures, "audio": sounds, "text": text, "presence": presence}
    command = np.where(heard != NONE, heard, seen)
    return Lessons(
        feeds,
        command,
        sign,
        word,
        cells,
        hulls,
        regions(ids, things, np.where(sign == NONE, OUTSIDE, sign)),
        np.stack(more_text, 1) if more else np.zeros((len(numbers), 0, text.shape[1]), np.int64),
        np.stack(more_cells, 1) if more else np.zeros((len(numbers), 0, cells.shape[1]), np.float32),
    )


def _worded(rng: np.random.Generator, world: World, asked: list[Asked]) -> Ints:
    """Token ids of one wording for each: [n, length]."""
    table = wordings(world.split)
    return np.stack([table[one.color, one.shape, rng.integers(table.shape[2])] for one in asked])


def _pictures(world: World, rng: np.random.Generator, numbers: Ints, *, augment: bool) -> Shown:
    pictures, ids = np.array(world.pictures[numbers]), np.array(world.ids[numbers])
    if augment:
        for row in np.flatnonzero(rng.random(len(numbers)) < MOVED_SHARE):
            pictures[row], ids[row] = moved(rng, pictures[row], ids[row])
    return Shown(pictures, ids, world.things[numbers], world.signs[numbers].astype(np.int64))


def _presence(rng: np.random.Generator, count: int, mix: Mix) -> Floats:
    """Sound and picture are never missing both: nothing could be asked then."""
    presence = np.ones((count, 3), np.float32)
    draw = rng.random(count)
    presence[draw < mix.no_audio, AUDIO] = 0
    presence[(draw >= mix.no_audio) & (draw < mix.no_audio + mix.no_image), IMAGE] = 0
    presence[rng.random(count) < mix.no_text, TEXT] = 0
    return presence


def _sounds(world: World, rng: np.random.Generator, sign: Ints, mix: Mix, *, augment: bool) -> tuple[Ints, Floats]:
    by_word = [np.flatnonzero(world.words == number) for number in range(NONE + 1)]
    speaks = rng.random(len(sign)) < np.where(sign != NONE, mix.word_with_sign, mix.word_without_sign)
    word = np.where(speaks, np.where(sign != NONE, sign, rng.integers(NONE, size=len(sign))), NONE)
    sounds = np.empty((len(sign), WINDOW), np.float32)
    for row, which in enumerate(word):
        sounds[row] = world.sounds[by_word[which][rng.integers(len(by_word[which]))]]
    sounds /= 32768
    if augment:
        for other_throat in np.flatnonzero(rng.random(len(sign)) < RETUNED_SHARE):
            sounds[other_throat] = retuned(sounds[other_throat], float(np.exp(rng.uniform(*RETUNED))))
        sounds *= 10 ** rng.uniform(-0.5, 0, (len(sign), 1)).astype(np.float32)
        for noisy in np.flatnonzero(rng.random(len(sign)) < 0.35):  # what else sounds in the room
            other = world.sounds[by_word[NONE][rng.integers(len(by_word[NONE]))]].astype(np.float32) / 32768
            scale = np.sqrt(np.mean(sounds[noisy] ** 2) / (np.mean(other**2) + 1e-9)) * 10 ** (-rng.uniform(3, 25) / 20)
            sounds[noisy] += (other * scale).astype(np.float32)
        np.clip(sounds, -1, 1, out=sounds)
    return word.astype(np.int64), sounds


def retuned(sound: Floats, factor: float) -> Floats:
    """As a tape that runs this much faster: pitch and formants of another throat. The ends are mirrored."""
    long = round(WINDOW / factor)
    played = np.asarray(cv2.resize(sound[None], (long, 1), interpolation=cv2.INTER_LINEAR), np.float32)[0]
    before = abs(long - WINDOW) // 2
    if long >= WINDOW:
        return np.asarray(played[before : before + WINDOW])
    return np.pad(played, (before, WINDOW - long - before), mode="reflect")


__all__ = ["ALL_THERE", "BOTH_SAY", "CELLS", "COMMANDS", "USUAL", "Lessons", "Mix", "lessons", "retuned"]
