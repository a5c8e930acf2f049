"""Lessons from close by: pieces of pictures around bodies and signs, so that no work goes into bare table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .places import regions
from .scene import MOST_BODIES
from .stage import SIGN_ID

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Picture

    from .cache import World
    from .places import Regions

PIECE = 48  # pixels, a multiple of the coarsest step of the encoder
WANDER = 6  # how far from the middle of a piece its thing may be
ENOUGH_PIXELS = 140


def close_lessons(world: World, count: int, seed: tuple[int, ...]) -> tuple[Picture, Regions]:
    """This many pieces [n, PIECE, PIECE, 3], each around a body or a sign of a picture that the seed draws."""
    rng = np.random.default_rng(seed)
    pieces = np.empty((count, PIECE, PIECE, 3), np.uint8)
    ids = np.empty((count, PIECE, PIECE), np.uint8)
    numbers = np.empty(count, np.int64)
    for row in range(count):
        spot = None
        while spot is None:
            numbers[row] = rng.integers(len(world.pictures))
            spot = _spot(rng, np.asarray(world.ids[numbers[row]]))
        thing, top, left = spot
        window = (slice(top, top + PIECE), slice(left, left + PIECE))
        pieces[row] = world.pictures[numbers[row]][window]
        ids[row] = np.where(
            world.ids[numbers[row]][window] == thing, thing, 0
        )  # what is cut off beside it teaches little
    return pieces, regions(ids, world.things[numbers], world.signs[numbers])


def _spot(rng: np.random.Generator, ids: Picture) -> tuple[int, int, int] | None:
    """One of the things of which enough is to be seen, and the top left of a piece around it.

    One a picture, not all of them: a step whose pieces share their light and their ground teaches far less.
    """
    counts = np.bincount(ids.ravel(), minlength=256)
    things = [number for number in (*range(1, MOST_BODIES + 1), SIGN_ID) if counts[number] >= ENOUGH_PIXELS]
    if not things:
        return None
    thing = things[rng.integers(len(things))]
    rows, columns = np.nonzero(ids == thing)
    middle = np.array([rows.mean(), columns.mean()]) - PIECE / 2 + rng.integers(-WANDER, WANDER + 1, 2)
    row, column = np.clip(middle, 0, ids.shape[0] - PIECE).astype(int).tolist()
    return thing, row, column
