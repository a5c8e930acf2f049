"""Crops of pictures around bodies and cards: a fraction of the compute of whole pictures, none of it on bare table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import EMPTY, NONE, UNCLEAR
from mm_edge.zoo.worlds.tabletop.drawing.canvas import CARD_ID, SIGN_ID
from mm_edge.zoo.worlds.tabletop.scene import MOST_BODIES

from .targets import OUTSIDE

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Ints, Picture
    from mm_edge.zoo.worlds.tabletop.cache import World

JITTER = 0.12  # of the side: how far its object may be from the centre of a crop
TURN_DEGREES, SCALE = 12.0, 0.22  # to either side; the logarithm of the scale
FITS = 0.95  # of the side: larger objects are scaled down to fit
ENOUGH_PIXELS = 140
SIGN_SHARE, CARD_SHARE = 0.6, 0.25  # of the crops, if the picture has a sign, or a card without a command
WHOLE_BODY, WHOLE_SIGN, NO_SIGN = 0.5, 0.75, 0.08  # shares of its visible pixels that must be inside the crop


class Crops(NamedTuple):
    """Pictures of one size, whole or cropped, and what they show.

    In a crop, `sign` is NONE if the sign is outside, OUTSIDE if too little of it is inside to label; a body that is cut
    off counts as unclear.
    """

    pictures: Picture
    ids: Picture
    things: Ints
    sign: Ints


def crop(world: World, rng: np.random.Generator, numbers: Ints, side: int) -> Crops:
    """A crop [side, side] of each of these pictures around a visible object, rotated and scaled."""
    pictures = np.empty((len(numbers), side, side, 3), np.uint8)
    ids = np.empty((len(numbers), side, side), np.uint8)
    things, sign = np.array(world.things[numbers]), world.signs[numbers].astype(np.int64)
    for row, number in enumerate(numbers):
        whole = np.asarray(world.ids[number])
        before = _counts(whole)
        turn, scale = _window(rng, whole, before, side)
        size = (side, side)
        pictures[row] = cv2.warpAffine(world.pictures[number], turn, size, borderMode=cv2.BORDER_REPLICATE)
        ids[row] = cv2.warpAffine(whole, turn, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        left_over = _counts(ids[row]) / np.maximum(before * scale**2, 1)
        cut_off = (left_over[1 : MOST_BODIES + 1] < WHOLE_BODY) & (things[row, :, 0] > EMPTY)
        things[row, cut_off] = UNCLEAR - things[row, cut_off]
        if sign[row] != NONE and left_over[SIGN_ID] < WHOLE_SIGN:
            sign[row] = NONE if left_over[SIGN_ID] < NO_SIGN else OUTSIDE
    return Crops(pictures, ids, things, sign)


def _counts(ids: Picture) -> Floats:
    """Pixel counts by id: [256]. OpenCV counts bytes ten times faster than numpy."""
    return np.asarray(cv2.calcHist([ids], [0], None, [256], [0, 256]), np.float32).ravel()


def _window(rng: np.random.Generator, ids: Picture, counts: Floats, side: int) -> tuple[Floats, float]:
    """The transform from the picture to a crop around one of its objects, or a random place; and its scale."""
    draw, bodies = rng.random(), [n for n in range(1, MOST_BODIES + 1) if counts[n] >= ENOUGH_PIXELS]
    scale = float(np.exp(rng.uniform(-SCALE, SCALE)))
    middle = rng.uniform(side / 2, ids.shape[0] - side / 2, 2)
    if counts[SIGN_ID] >= ENOUGH_PIXELS and draw < SIGN_SHARE:
        thing = SIGN_ID
    elif counts[CARD_ID] >= ENOUGH_PIXELS and draw > 1 - CARD_SHARE:
        thing = CARD_ID
    else:
        thing = bodies[rng.integers(len(bodies))] if bodies else 0
    if thing:
        left, top, width, height = cv2.boundingRect((ids == thing).astype(np.uint8))
        scale = min(scale, FITS * side / max(width, height))
        middle = np.array([left + width / 2, top + height / 2]) + rng.uniform(-JITTER, JITTER, 2) * side / 2
    degrees = rng.uniform(-TURN_DEGREES, TURN_DEGREES)
    turn = np.asarray(cv2.getRotationMatrix2D(middle.tolist(), degrees, scale), np.float64)
    turn[:, 2] += side / 2 - middle
    return turn, scale
