"""Pieces of pictures, cut around bodies and cards: a quarter of the work, and none of it goes into bare table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from .cache import EMPTY, NONE, UNCLEAR
from .places import OUTSIDE
from .scene import MOST_BODIES
from .stage import CARD_ID, SIGN_ID

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Ints, Picture

    from .cache import World

PIECE = 80  # pixels, a multiple of the coarsest step of the encoder; nine signs in ten fit
WANDER = 10  # how far from the middle of a piece its thing may be
ENOUGH_PIXELS = 140
SIGN_SHARE, CARD_SHARE = 0.6, 0.25  # of the pieces, where the picture has a sign, or a card that commands nothing
WHOLE_BODY, WHOLE_SIGN, NO_SIGN = 0.5, 0.75, 0.08  # of what the picture shows of it, so much is in the piece


class Shown(NamedTuple):
    """Pictures of one size, whole or pieces, and what they show.

    Of a piece, `sign` is NONE where none is left of it, OUTSIDE where too little to say; a body that is cut off counts
    as unclear.
    """

    pictures: Picture
    ids: Picture
    things: Ints
    sign: Ints


def cut(world: World, rng: np.random.Generator, numbers: Ints) -> Shown:
    """A piece [PIECE, PIECE] of each of these pictures, around something that is to be seen in it."""
    pictures = np.empty((len(numbers), PIECE, PIECE, 3), np.uint8)
    ids = np.empty((len(numbers), PIECE, PIECE), np.uint8)
    things, sign = np.array(world.things[numbers]), world.signs[numbers].astype(np.int64)
    for row, number in enumerate(numbers):
        whole = np.asarray(world.ids[number])
        before = _counts(whole)
        top, left = _corner(rng, whole, before)
        window = (slice(top, top + PIECE), slice(left, left + PIECE))
        pictures[row], ids[row] = world.pictures[number][window], whole[window]
        left_over = _counts(ids[row]) / np.maximum(before, 1)
        cut_off = (left_over[1 : MOST_BODIES + 1] < WHOLE_BODY) & (things[row, :, 0] > EMPTY)
        things[row, cut_off] = UNCLEAR - things[row, cut_off]
        if sign[row] != NONE and left_over[SIGN_ID] < WHOLE_SIGN:
            sign[row] = NONE if left_over[SIGN_ID] < NO_SIGN else OUTSIDE
    return Shown(pictures, ids, things, sign)


def _counts(ids: Picture) -> Floats:
    """How many pixels each number has: [256]. OpenCV counts bytes ten times faster than numpy does."""
    return np.asarray(cv2.calcHist([ids], [0], None, [256], [0, 256]), np.float32).ravel()


def _corner(rng: np.random.Generator, ids: Picture, counts: Floats) -> tuple[int, int]:
    """The top left of a piece around one of the things of which enough is to be seen; anywhere if there is none."""
    most = ids.shape[0] - PIECE
    draw, bodies = rng.random(), [n for n in range(1, MOST_BODIES + 1) if counts[n] >= ENOUGH_PIXELS]
    if counts[SIGN_ID] >= ENOUGH_PIXELS and draw < SIGN_SHARE:
        thing = SIGN_ID
    elif counts[CARD_ID] >= ENOUGH_PIXELS and draw > 1 - CARD_SHARE:
        thing = CARD_ID
    elif bodies:
        thing = bodies[rng.integers(len(bodies))]
    else:
        return int(rng.integers(most + 1)), int(rng.integers(most + 1))
    rows, columns = np.nonzero(ids == thing)
    middle = np.array([rows.mean(), columns.mean()]) - PIECE / 2 + rng.integers(-WANDER, WANDER + 1, 2)
    top, left = np.clip(middle, 0, most).astype(int).tolist()
    return top, left
