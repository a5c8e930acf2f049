"""Lessons from close by: pieces of pictures around bodies and signs, so that no work goes into bare table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .places import FEWEST_PIXELS, regions
from .scene import MOST_BODIES
from .stage import SIGN_ID

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Picture

    from .cache import World
    from .places import Regions

PIECE = 64  # pixels, a multiple of the coarsest step of the encoder
WANDER = 14  # how far from the middle of a piece its thing may be


def close_lessons(world: World, count: int, seed: tuple[int, ...]) -> tuple[Picture, Regions]:
    """This many pieces [n, PIECE, PIECE, 3], each around a body or a sign of a picture that the seed draws."""
    rng = np.random.default_rng(seed)
    pieces = np.empty((count, PIECE, PIECE, 3), np.uint8)
    ids = np.empty((count, PIECE, PIECE), np.uint8)
    numbers = np.empty(count, np.int64)
    filled = 0
    while filled < count:
        number = int(rng.integers(len(world.pictures)))
        for row, column in _spots(rng, np.asarray(world.ids[number]))[: count - filled]:
            window = (slice(row, row + PIECE), slice(column, column + PIECE))
            pieces[filled], ids[filled] = world.pictures[number][window], world.ids[number][window]
            numbers[filled] = number
            filled += 1
    return pieces, regions(ids, world.things[numbers], world.signs[numbers])


def _spots(rng: np.random.Generator, ids: Picture) -> list[tuple[int, int]]:
    """The top left of a piece for everything of which enough is to be seen."""
    counts = np.bincount(ids.ravel(), minlength=256)
    spots = []
    for number in np.flatnonzero(counts >= FEWEST_PIXELS):
        if not (1 <= number <= MOST_BODIES or number == SIGN_ID):
            continue
        rows, columns = np.nonzero(ids == number)
        middle = np.array([rows.mean(), columns.mean()]) - PIECE / 2 + rng.integers(-WANDER, WANDER + 1, 2)
        row, column = np.clip(middle, 0, ids.shape[0] - PIECE).astype(int).tolist()
        spots.append((row, column))
    return spots
