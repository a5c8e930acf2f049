"""The drawing surface: pixels, object ids, and the random generator that all drawing shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from . import texture

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Ints, Picture
    from mm_edge.zoo.worlds.tabletop.scene import Scene

    from .camera import Projection

SIGN_ID, CLUTTER_ID, CARD_ID = 255, 254, 253  # bodies are 1, 2, … in the order of the scene


@dataclass(frozen=True)
class Canvas:
    """`pixels` [large, large, 3] and `ids` [large, large] are drawn into."""

    rng: np.random.Generator
    scene: Scene
    projection: Projection
    pixels: Picture
    ids: Picture

    def lay(self, layer: Picture, corner: Ints, number: int, pattern: str = "plain") -> int:
        """Composites an RGBA layer with its top left at `corner`; returns its pixel count, including pixels outside."""
        height, width = layer.shape[:2]
        x0, y0 = max(int(corner[0]), 0), max(int(corner[1]), 0)
        x1 = min(int(corner[0]) + width, self.pixels.shape[1])
        y1 = min(int(corner[1]) + height, self.pixels.shape[0])
        whole = int(np.count_nonzero(layer[..., 3]))
        if x1 <= x0 or y1 <= y0:
            return whole
        if pattern != "plain":
            grain = _grain(self.rng, pattern, height, width)
            layer[..., :3] = np.clip(layer[..., :3] * grain[..., None], 0, 255).astype(np.uint8)
        piece = layer[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]
        mask = np.ascontiguousarray(piece[..., 3])
        cv2.copyTo(np.ascontiguousarray(piece[..., :3]), mask, self.pixels[y0:y1, x0:x1])
        self.ids[y0:y1, x0:x1][mask > 0] = number
        return whole

    def fill(self, outline: Ints, picture: Picture, number: int) -> None:
        """Shows `picture` inside the outline."""
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.asarray(outline, np.int32)], 255)
        cv2.copyTo(picture, mask, self.pixels)
        self.ids[mask > 0] = number


def _grain(rng: np.random.Generator, kind: str, height: int, width: int) -> Floats:
    """The texture factor of a surface's colour."""
    if kind == "bands":
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        angle = rng.uniform(0, np.pi)
        wave = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) * rng.uniform(0.25, 0.7))
        return np.asarray(1 - rng.uniform(0.1, 0.3) * (wave > 0))
    first = 4 if kind == "mottled" else 24
    field = texture.noise(rng, 64, 3, first)
    return np.asarray(1 + 0.16 * cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
