"""Data augmentation of rendered pictures: position and exposure. Cheap enough for every training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from .canvas import SIGN_ID

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Picture

LEAST_SIGN_LEFT = 0.8
SHIFT = 0.09  # of the side


def moved(rng: np.random.Generator, picture: Picture, ids: Picture) -> tuple[Picture, Picture]:
    """Rotated, scaled and shifted; unchanged if that would push the sign out of the picture."""
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-12, 12), rng.uniform(0.8, 1.25))
    turn[:, 2] = turn[:, 2] + rng.uniform(-SHIFT, SHIFT, 2) * side
    new_ids = cv2.warpAffine(ids, turn, (side, side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    before = np.count_nonzero(ids == SIGN_ID)
    scale = abs(np.linalg.det(turn[:, :2]))
    if before and np.count_nonzero(new_ids == SIGN_ID) < LEAST_SIGN_LEFT * before * scale:
        return picture, ids
    new = cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(new, np.uint8), np.asarray(new_ids, np.uint8)


def recolored(rng: np.random.Generator, pictures: Picture) -> Picture:
    """Each picture with its own colour gains, gamma and offset, by lookup tables."""
    n = len(pictures)
    levels = np.arange(256, dtype=np.float32) / 255
    gain = rng.uniform(0.75, 1.15, (n, 1, 1)) * rng.normal(1, 0.05, (n, 3, 1))
    curve = levels[None, None] ** rng.uniform(0.7, 1.4, (n, 1, 1))
    tables = np.clip((curve * gain + rng.uniform(-0.06, 0.06, (n, 1, 1))) * 255, 0, 255).astype(np.uint8)
    out = np.empty_like(pictures)
    for row in range(n):
        out[row] = cv2.LUT(pictures[row], np.ascontiguousarray(tables[row].T)[None])
    return out
