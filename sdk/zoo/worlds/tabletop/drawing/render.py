"""Renders a scene: a picture as from a cheap camera, and the object id of every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mm_edge.zoo.worlds.tabletop.scene import Body, Card

from .background import draw_clutter, draw_shadows, draw_table
from .camera import Projection
from .canvas import CARD_ID, CLUTTER_ID, SIGN_ID, Canvas
from .cards import draw_card
from .degradation import degraded
from .solids import draw_body, posed

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Picture
    from mm_edge.zoo.worlds.tabletop.mesh import Mesh
    from mm_edge.zoo.worlds.tabletop.scene import Scene

SIDE = 160
OVERSAMPLE = 2
LEAST_VISIBLE = 0.4

__all__ = ["CLUTTER_ID", "LEAST_VISIBLE", "SIDE", "SIGN_ID", "View", "render"]


@dataclass(frozen=True)
class View:
    """A picture (RGB), its id map, and the visible share of each body and of the sign."""

    picture: Picture
    ids: Picture
    visible: tuple[float, ...]
    sign_visible: float


def render(scene: Scene, side: int = SIDE) -> View:
    """The same scene gives the same picture, bit for bit, on the same library versions."""
    rng = np.random.default_rng((*scene.seed, 7))
    large = side * OVERSAMPLE
    projection = Projection(scene, large)
    canvas = Canvas(
        rng, scene, projection, draw_table(rng, scene, projection, large), np.zeros((large, large), np.uint8)
    )
    meshes = [posed(thing) for thing in scene.bodies]
    draw_shadows(canvas, [mesh.vertices for mesh in meshes])
    draw_clutter(canvas)
    whole = {number: _draw(canvas, thing, number, meshes) for thing, number in _far_to_near(canvas)}
    counts = np.bincount(canvas.ids.ravel(), minlength=256)
    seen = tuple(float(counts[n + 1] / max(whole[n + 1], 1)) for n in range(len(scene.bodies)))
    sign_seen = float(counts[SIGN_ID] / whole[SIGN_ID]) if whole.get(SIGN_ID) else 0.0
    picture = np.asarray(cv2.resize(canvas.pixels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    ids = np.ascontiguousarray(canvas.ids[::OVERSAMPLE, ::OVERSAMPLE])
    return View(degraded(rng, picture, calm=scene.clear), ids, seen, sign_seen)


def _far_to_near(canvas: Canvas) -> list[tuple[Body | Card, int]]:
    """Bodies and cards with their ids, farthest first: nearer ones are drawn later and occlude what is behind."""
    things: list[tuple[Body | Card, int]] = [(thing, number + 1) for number, thing in enumerate(canvas.scene.bodies)]
    things += [(item, SIGN_ID if item.sign else CARD_ID) for item in canvas.scene.cards]
    return sorted(things, key=lambda entry: -float(np.linalg.norm(canvas.projection.place[:2] - entry[0].place)))


def _draw(canvas: Canvas, thing: Body | Card, number: int, meshes: list[Mesh]) -> int:
    if isinstance(thing, Body):
        return draw_body(canvas, thing, meshes[number - 1], number)
    return draw_card(canvas, thing, number)
