"""Where things are, for the map that places are learned on: shares of cells, outlines, contents of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from .cache import EMPTY
from .mesh import SHAPES
from .signs import SIGNS
from .stage import SIGN_ID

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Ints, Picture

CELLS = 20  # the side of the map
OUTSIDE = -100  # a label that no loss counts
LEAST_SHARE = 0.34  # of the fullest cell: a cell with less is only touched


def shares(ids: Picture, slot: int | None) -> Floats:
    """How much of the body stands in each cell, as shares that sum to one; the last stands for "nowhere"."""
    out = np.zeros(CELLS * CELLS + 1, np.float32)
    if slot is None:
        out[-1] = 1
        return out
    block = ids.shape[0] // CELLS
    counts = (ids == slot + 1).reshape(CELLS, block, CELLS, block).sum((1, 3)).ravel().astype(np.float32)
    counts[counts < LEAST_SHARE * counts.max()] = 0
    out[:-1] = counts / counts.sum()
    return out


def hull(ids: Picture, slot: int | None) -> Ints:
    """The outline of what is to be seen of a body, in pixels [n, 2]; empty where there is none."""
    if slot is None:
        return np.zeros((0, 2), np.int32)
    points = cv2.findNonZero((ids == slot + 1).astype(np.uint8))
    return np.asarray(cv2.convexHull(points)[:, 0])


def grids(ids: Picture, things: Ints, sign: Ints) -> tuple[Ints, Ints, Ints]:
    """For every cell: shape (or none), colour (only where a body is), sign (or none): each [n, CELLS, CELLS]."""
    block = ids.shape[1] // CELLS
    middle = ids[:, block // 2 :: block, block // 2 :: block]
    n = len(ids)
    bodies = slice(1, things.shape[1] + 1)
    shape_of = np.full((n, 256), len(SHAPES), np.int64)
    color_of = np.full((n, 256), OUTSIDE, np.int64)
    shape_of[:, bodies] = np.where(things[..., 0] > EMPTY, things[..., 0], OUTSIDE)
    color_of[:, bodies] = np.where(things[..., 1] > EMPTY, things[..., 1], OUTSIDE)
    sign_of = np.full((n, 256), len(SIGNS), np.int64)
    sign_of[:, SIGN_ID] = sign
    rows = np.arange(n)[:, None, None]
    return shape_of[rows, middle], color_of[rows, middle], sign_of[rows, middle]
