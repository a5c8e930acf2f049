"""Training targets on the map: shares of cells, outlines, regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import EMPTY
from mm_edge.zoo.worlds.tabletop.drawing.canvas import SIGN_ID
from mm_edge.zoo.worlds.tabletop.drawing.render import SIDE

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Ints, Picture

CELL = 8  # pixels, in both directions
CELLS = SIDE // CELL  # the side of the map
OUTSIDE = -100  # the label that losses ignore
FEWEST_PIXELS = 60  # of an object with a region target
LEAST_SHARE = 0.34  # of the fullest cell; cells with less do not count


def shares(ids: Picture, slot: int | None) -> Floats:
    """The share of the body in each cell; they sum to one, and the last entry means "nowhere"."""
    counts = _filled(ids, 0 if slot is None else slot + 1)
    out = np.zeros(len(counts) + 1, np.float32)
    if slot is None:
        out[-1] = 1
        return out
    counts[counts < LEAST_SHARE * counts.max()] = 0
    out[:-1] = counts / counts.sum()
    return out


def _filled(ids: Picture, number: int) -> Floats:
    """Pixels with this id in each cell of a picture of any size: [cells]."""
    mask = (ids == number).astype(np.float32)
    size = (ids.shape[1] // CELL, ids.shape[0] // CELL)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32).ravel() * CELL**2


def hull(ids: Picture, slot: int | None) -> Ints:
    """The outline of the visible part of a body, in pixels [n, 2]; empty if there is none."""
    if slot is None:
        return np.zeros((0, 2), np.int32)
    points = cv2.findNonZero((ids == slot + 1).astype(np.uint8))
    return np.asarray(cv2.convexHull(points)[:, 0])


class Regions(NamedTuple):
    """Targets of the auxiliary heads: bodies and signs, by the cells that they cover.

    `masks` [n, bodies + 1, cells], the sign last: shares that sum to one, or all zero if it is missing. `shape` and
    `color` [n, bodies] and `sign` [n] are labels; OUTSIDE if there is none.
    """

    masks: Floats
    shape: Ints
    color: Ints
    sign: Ints


def regions(ids: Picture, things: Ints, sign: Ints) -> Regions:
    """For pictures whose sides are multiples of CELL."""
    n, rows, columns = len(ids), ids.shape[1] // CELL, ids.shape[2] // CELL
    masks = np.zeros((n, things.shape[1] + 1, rows * columns), np.float32)
    for place, number in enumerate((*range(1, things.shape[1] + 1), SIGN_ID)):
        counts = np.stack([_filled(one, number) for one in ids])
        counts[counts.sum(1) < FEWEST_PIXELS] = 0
        masks[:, place] = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    seen = masks.sum(2) > 0
    clear = seen[:, :-1] & (things[..., 0] > EMPTY)
    return Regions(
        masks,
        np.where(clear, things[..., 0], OUTSIDE).astype(np.int64),
        np.where(clear, things[..., 1], OUTSIDE).astype(np.int64),
        np.where(seen[:, -1], sign, OUTSIDE).astype(np.int64),
    )
