"""Draws the background: the table surface, shadows, and clutter that no phrase names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from mm_edge.zoo.worlds.tabletop.scene import rgb_of

from . import texture
from .canvas import CLUTTER_ID
from .cards import corners

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Picture
    from mm_edge.zoo.worlds.tabletop.scene import Scene

    from .camera import Projection
    from .canvas import Canvas


def draw_table(rng: np.random.Generator, scene: Scene, projection: Projection, large: int) -> Picture:
    kinds = texture.HELD_OUT_SURFACES if scene.split == "held-out" else texture.TRAINING_SURFACES
    surface = texture.surface(rng, str(rng.choice(kinds)))
    span = rng.uniform(3, 9)  # table units that the texture covers before it repeats
    side = surface.shape[0]
    to_plane = np.array([[span / side, 0, -span / 2], [0, span / side, -span / 2], [0, 0, 1]])
    spun = np.eye(3)
    spun[:2, :2] = cv2.getRotationMatrix2D((0, 0), rng.uniform(0, 360), 1.0)[:, :2]
    tiles = (surface * 255).astype(np.uint8)
    whole = cv2.warpPerspective(
        tiles, projection.table_homography() @ spun @ to_plane, (large, large), borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(whole, np.uint8)


def draw_shadows(canvas: Canvas, solids: list[Floats]) -> None:
    shade = np.zeros(canvas.pixels.shape[:2], np.uint8)
    light = np.array(canvas.scene.light)
    for points in [*solids, *(corners(item) for item in canvas.scene.cards)]:
        flat = np.zeros_like(points)
        flat[:, :2] = points[:, :2] - points[:, 2:] * light[:2] / light[2]
        cv2.fillConvexPoly(shade, cv2.convexHull(canvas.projection.project(flat).astype(np.int32)), 255)
    softness = int(canvas.rng.integers(1, 9)) * 2 + 1
    soft = cv2.blur(shade, (softness, softness))
    depth = canvas.rng.uniform(0.25, 0.65)
    darker = 255 - (soft * depth).astype(np.uint8)
    canvas.pixels[:] = cv2.multiply(canvas.pixels, cv2.merge([darker, darker, darker]), scale=1 / 255)


def draw_clutter(canvas: Canvas) -> None:
    """Sheets, pens, crumbs and cables."""
    rng = canvas.rng
    for _ in range(canvas.scene.clutter):
        place = rng.uniform(-1.3, 1.3, 2) * canvas.scene.camera.reach
        kind = rng.integers(4)
        angle = rng.uniform(0, np.pi)
        vivid = rng.random() < 0.35
        color = [round(255 * v) for v in rgb_of(rng.uniform(0, 360), 0.8 if vivid else 0.15, rng.uniform(0.15, 1.0))]
        if kind == 0:
            outline = place + _oblong(angle, *rng.uniform(0.2, 0.6, 2))
        elif kind == 1:
            outline = place + _oblong(angle, rng.uniform(0.3, 0.6), rng.uniform(0.015, 0.04))
        elif kind == 2:
            turns = np.sort(rng.uniform(0, 6.28, 7))
            outline = place + np.array([rng.uniform(0.04, 0.16) * np.array([np.cos(a), np.sin(a)]) for a in turns])
            color = [round(v * rng.uniform(0.3, 0.95)) for v in (220, 205, 185)]
        else:
            outline = place + np.cumsum(rng.normal(0, 0.25, (7, 2)), 0)
        seen = canvas.projection.project(np.concatenate([outline, np.zeros((len(outline), 1))], 1)).astype(np.int32)
        if kind == 3:
            cv2.polylines(canvas.pixels, [seen], False, color, int(rng.integers(2, 6)), cv2.LINE_AA)
            continue
        cv2.fillPoly(canvas.pixels, [seen], color, cv2.LINE_AA)
        cv2.fillPoly(canvas.ids, [seen], CLUTTER_ID)


def _oblong(angle: float, half_length: float, half_width: float) -> Floats:
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    sides = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([sx * half_length * along + sy * half_width * across for sx, sy in sides])
