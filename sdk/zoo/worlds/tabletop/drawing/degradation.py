"""Degradations of a cheap camera: vignetting, colour cast, exposure, blur and sensor noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Picture


def degraded(rng: np.random.Generator, picture: Picture, *, calm: bool) -> Picture:
    """The picture with vignetting, colour cast, exposure, blur and sensor noise; `calm`: no blur, less noise."""
    side = picture.shape[0]
    work: Floats = picture.astype(np.float32)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    fall, angle = rng.uniform(0, 0.3), rng.uniform(0, 6.28)
    light = 1 + fall * (np.cos(angle) * rows + np.sin(angle) * columns) - rng.uniform(0, 0.2) * (rows**2 + columns**2)
    cast = rng.normal(1, 0.05, 3) * rng.uniform(0.75, 1.2)
    work *= light[..., None] * cast.astype(np.float32)
    blur = rng.random()
    if blur < 0.35 and not calm:
        work = np.asarray(cv2.GaussianBlur(work, (0, 0), rng.uniform(0.4, 1.3)), np.float32)
    elif blur < 0.5 and not calm:
        length, heading = int(rng.integers(2, 6)), rng.uniform(0, np.pi)
        kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
        tip = (round(length + length / 2 * np.cos(heading)), round(length + length / 2 * np.sin(heading)))
        cv2.line(kernel, (2 * length - tip[0], 2 * length - tip[1]), tip, 1.0)
        work = np.asarray(cv2.filter2D(work, -1, kernel / kernel.sum()), np.float32)
    strength = rng.uniform(0, 3 if calm else 9)
    work += strength * rng.standard_normal(work.shape, dtype=np.float32)
    np.clip(work, 0, 255, out=work)
    return work.astype(np.uint8)
