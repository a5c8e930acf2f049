"""Pairs pictures, sounds and phrases into lessons with exact labels, in numpy; each lesson follows from seed and number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .cache import EMPTY, LEAST_PIXELS, NONE, UNCLEAR
from .mesh import SHAPES
from .phrases import TEXT_LENGTH, wordings
from .render import SIGN_ID
from .scene import COLORS
from .signs import SIGNS
from .sound import WINDOW

if TYPE_CHECKING:
    import numpy.typing as npt

    from .cache import World

    Ints = npt.NDArray[np.int64]

COMMANDS = (*SIGNS, "none")
CELLS = 20  # the side of the map on which places are learned
IMAGE, AUDIO, TEXT = range(3)  # the columns of presence
OUTSIDE = -100  # a label that no loss counts


@dataclass(frozen=True)
class Mix:
    """How often what is missing, and how sign and word meet. They never contradict each other: nothing says who is right."""

    no_audio: float = 0.18
    no_image: float = 0.18
    no_text: float = 0.06
    word_with_sign: float = 0.7
    word_without_sign: float = 0.45
    body_present: float = 0.68
    whole_name: float = 0.7  # colour and shape; else one of the two, where that is clear


USUAL = Mix()
ALL_THERE = Mix(no_audio=0, no_image=0, no_text=0)
BOTH_SAY = Mix(no_audio=0, no_image=0, no_text=0, word_with_sign=1.0, word_without_sign=0.0)


@dataclass(frozen=True)
class Lessons:
    """A batch. `feeds` as the graph sees them; the rest are labels.

    `cells` [n, CELLS * CELLS + 1] is where the body is, as shares that sum to one, the last cell standing for "nowhere";
    `hulls` the outline of what is to be seen of the body, in pixels (empty: not there); `grid_*` [n, CELLS, CELLS] say for
    every cell of the map what stands there.
    """

    feeds: dict[str, npt.NDArray[np.generic]]
    command: Ints
    sign: Ints
    word: Ints
    cells: npt.NDArray[np.float32]
    hulls: list[npt.NDArray[np.int32]]
    grid_shape: Ints
    grid_color: Ints
    grid_sign: Ints


def lessons(
    world: World, numbers: npt.NDArray[np.int64], seed: tuple[int, ...], *, mix: Mix = USUAL, augment: bool = False
) -> Lessons:
    """The lessons for these pictures; sounds and phrases are drawn by the seed."""
    rng = np.random.default_rng(seed)
    n = len(numbers)
    side = world.pictures.shape[1]
    pictures = np.empty((n, side, side, 3), np.uint8)
    ids = np.empty((n, side, side), np.uint8)
    for row, number in enumerate(numbers):
        pictures[row], ids[row] = world.pictures[number], world.ids[number]
        if augment:
            pictures[row], ids[row] = _moved(rng, pictures[row], ids[row])
    sign = world.signs[numbers].astype(np.int64)
    word, sounds = _sounds(world, rng, sign, mix, augment=augment)
    presence = np.ones((n, 3), np.float32)
    dropped = rng.random(n)
    presence[dropped < mix.no_audio, AUDIO] = 0
    presence[(dropped >= mix.no_audio) & (dropped < mix.no_audio + mix.no_image), IMAGE] = 0
    presence[rng.random(n) < mix.no_text, TEXT] = 0
    heard = np.where(presence[:, AUDIO] > 0, word, NONE)
    seen = np.where(presence[:, IMAGE] > 0, sign, NONE)
    named = [_named(rng, ids[row], world.things[number], mix) for row, number in enumerate(numbers)]
    table = wordings(world.split)
    text = np.stack([table[color, shape, rng.integers(table.shape[2])] for color, shape, _ in named])
    cells = np.zeros((n, CELLS * CELLS + 1), np.float32)
    hulls = []
    for row, (_, _, slot) in enumerate(named):
        here = slot is not None and presence[row, IMAGE] > 0 and presence[row, TEXT] > 0
        hulls.append(_hull(ids[row], slot) if here and slot is not None else np.zeros((0, 2), np.int32))
        cells[row] = _shares(ids[row], slot if here else None)
    grids = _grids(ids, world.things[numbers], sign)
    if augment:
        pictures = _recolored(rng, pictures)
    feeds: dict[str, npt.NDArray[np.generic]] = {"image": pictures, "audio": sounds, "text": text, "presence": presence}
    return Lessons(feeds, np.where(heard != NONE, heard, seen), sign, word, cells, hulls, *grids)


def _sounds(
    world: World, rng: np.random.Generator, sign: Ints, mix: Mix, *, augment: bool
) -> tuple[Ints, npt.NDArray[np.float32]]:
    by_word = [np.flatnonzero(world.words == word) for word in range(NONE + 1)]
    speaks = rng.random(len(sign)) < np.where(sign != NONE, mix.word_with_sign, mix.word_without_sign)
    word = np.where(speaks, np.where(sign != NONE, sign, rng.integers(NONE, size=len(sign))), NONE)
    sounds = np.empty((len(sign), WINDOW), np.float32)
    for row, which in enumerate(word):
        sounds[row] = world.sounds[by_word[which][rng.integers(len(by_word[which]))]]
    sounds /= 32768
    if augment:
        sounds *= 10 ** rng.uniform(-0.5, 0, (len(sign), 1)).astype(np.float32)
        for row in np.flatnonzero(rng.random(len(sign)) < 0.35):  # what else sounds in the room
            other = world.sounds[by_word[NONE][rng.integers(len(by_word[NONE]))]].astype(np.float32) / 32768
            scale = np.sqrt(np.mean(sounds[row] ** 2) / (np.mean(other**2) + 1e-9)) * 10 ** (-rng.uniform(3, 25) / 20)
            sounds[row] += other * scale
        np.clip(sounds, -1, 1, out=sounds)
    return word.astype(np.int64), sounds


def _moved(
    rng: np.random.Generator, picture: npt.NDArray[np.uint8], ids: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Turned, scaled and shifted a little; left as it is where that would push the sign out."""
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-12, 12), rng.uniform(0.8, 1.25))
    turn[:, 2] += rng.uniform(-14, 14, 2)
    moved = cv2.warpAffine(ids, turn, (side, side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    before = np.count_nonzero(ids == SIGN_ID)
    if before and np.count_nonzero(moved == SIGN_ID) < 0.8 * before * abs(np.linalg.det(turn[:, :2])):
        return picture, ids
    return cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REPLICATE), moved  # type: ignore[return-value]


def _recolored(rng: np.random.Generator, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Each picture with a gain for each colour, a gamma and an offset of its own, by tables."""
    n = len(pictures)
    levels = np.arange(256, dtype=np.float32) / 255
    gain = rng.uniform(0.75, 1.15, (n, 1, 1)) * rng.normal(1, 0.05, (n, 3, 1))
    curve = levels[None, None] ** rng.uniform(0.7, 1.4, (n, 1, 1))
    tables = np.clip((curve * gain + rng.uniform(-0.06, 0.06, (n, 1, 1))) * 255, 0, 255).astype(np.uint8)
    out = np.empty_like(pictures)
    for row in range(n):
        out[row] = cv2.LUT(pictures[row], np.ascontiguousarray(tables[row].T)[None])
    return out


def _named(
    rng: np.random.Generator, ids: npt.NDArray[np.uint8], things: npt.NDArray[np.int8], mix: Mix
) -> tuple[int, int, int | None]:
    """What the phrase asks for, as colour and shape (the last number of each: not told), and the slot where it is, if it is there."""
    pixels = np.bincount(ids.ravel(), minlength=len(things) + 1)[1 : len(things) + 1]
    bodies = []  # slot, shape, colour, clear
    for slot, (shape, color) in enumerate(things.astype(int)):
        if shape == EMPTY or pixels[slot] == 0:
            continue
        clear = shape > EMPTY and pixels[slot] >= LEAST_PIXELS
        bodies.append(
            (slot, shape if shape > EMPTY else UNCLEAR - shape, color if color > EMPTY else UNCLEAR - color, clear)
        )
    untold = (len(COLORS), len(SHAPES))

    def matching(color: int, shape: int) -> list[int]:
        return [slot for slot, s, c, _ in bodies if color in {c, untold[0]} and shape in {s, untold[1]}]

    if rng.random() < mix.body_present:
        for pick in rng.permutation(len(bodies)):
            slot, shape, color, clear = bodies[pick]
            if not clear:
                continue
            names = [(color, shape), (color, untold[1]), (untold[0], shape)]
            first = 0 if rng.random() < mix.whole_name else int(rng.integers(1, 3))
            for name in (names[first], names[0]):
                if matching(*name) == [slot]:
                    return (*name, slot)
    for _ in range(40):
        color, shape = int(rng.integers(len(COLORS))), int(rng.integers(len(SHAPES)))
        if bodies and rng.random() < 0.6:  # nearly there: its colour with another shape, or its shape in another colour
            _, near_shape, near_color, _ = bodies[rng.integers(len(bodies))]
            color, shape = (near_color, shape) if rng.random() < 0.5 else (color, near_shape)
        kind = 0 if rng.random() < mix.whole_name else int(rng.integers(1, 3))
        name = ((color, shape), (color, untold[1]), (untold[0], shape))[kind]
        if not matching(*name):
            return (*name, None)
    raise ValueError("a scene of at most six bodies leaves some of 36 names free; here none was found in 40 draws")


def _shares(ids: npt.NDArray[np.uint8], slot: int | None) -> npt.NDArray[np.float32]:
    shares = np.zeros(CELLS * CELLS + 1, np.float32)
    if slot is None:
        shares[-1] = 1
        return shares
    block = ids.shape[0] // CELLS
    counts = (ids == slot + 1).reshape(CELLS, block, CELLS, block).sum((1, 3)).ravel().astype(np.float32)
    counts[counts < 0.34 * counts.max()] = 0  # cells that it only touches
    shares[:-1] = counts / counts.sum()
    return shares


def _hull(ids: npt.NDArray[np.uint8], slot: int) -> npt.NDArray[np.int32]:
    points = cv2.findNonZero((ids == slot + 1).astype(np.uint8))
    return cv2.convexHull(points)[:, 0]  # type: ignore[return-value]


def _grids(ids: npt.NDArray[np.uint8], things: npt.NDArray[np.int8], sign: Ints) -> tuple[Ints, Ints, Ints]:
    """For every cell: shape (or none of them), colour (only where a body is), sign (only where a sign is)."""
    block = ids.shape[1] // CELLS
    middle = ids[:, block // 2 :: block, block // 2 :: block]
    n = len(ids)
    shape_of = np.full((n, 256), len(SHAPES), np.int64)
    color_of = np.full((n, 256), OUTSIDE, np.int64)
    shape_of[:, 1 : things.shape[1] + 1] = np.where(things[..., 0] > EMPTY, things[..., 0], OUTSIDE)
    color_of[:, 1 : things.shape[1] + 1] = np.where(things[..., 1] > EMPTY, things[..., 1], OUTSIDE)
    sign_of = np.full((n, 256), len(SIGNS), np.int64)
    sign_of[:, SIGN_ID] = sign
    rows = np.arange(n)[:, None, None]
    return shape_of[rows, middle], color_of[rows, middle], sign_of[rows, middle]


__all__ = ["ALL_THERE", "BOTH_SAY", "COMMANDS", "TEXT_LENGTH", "USUAL", "Lessons", "Mix", "lessons"]
