"""Draws a scene: a picture as a cheap camera would give it, and for every pixel what stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mm_edge.zoo.worlds.tabletop.scene import Body, Card

from .cards import draw_card
from .eye import Eye
from .ground import cast_shadows, strew, table
from .lens import through_lens
from .solids import draw_body, posed
from .stage import CARD_ID, CLUTTER_ID, SIGN_ID, Stage

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
    """A picture (RGB), its id map, and what share of each body, and of the sign, is to be seen in it."""

    picture: Picture
    ids: Picture
    visible: tuple[float, ...]
    sign_visible: float


def render(scene: Scene, side: int = SIDE) -> View:
    """The same scene gives the same picture, bit for bit, on the same library versions."""
    rng = np.random.default_rng((*scene.seed, 7))
    large = side * OVERSAMPLE
    eye = Eye(scene, large)
    stage = Stage(rng, scene, eye, table(rng, scene, eye, large), np.zeros((large, large), np.uint8))
    meshes = [posed(thing) for thing in scene.bodies]
    cast_shadows(stage, [mesh.vertices for mesh in meshes])
    strew(stage)
    whole = {number: _draw(stage, thing, number, meshes) for thing, number in _far_to_near(stage)}
    counts = np.bincount(stage.ids.ravel(), minlength=256)
    seen = tuple(float(counts[n + 1] / max(whole[n + 1], 1)) for n in range(len(scene.bodies)))
    sign_seen = float(counts[SIGN_ID] / whole[SIGN_ID]) if whole.get(SIGN_ID) else 0.0
    picture = np.asarray(cv2.resize(stage.canvas, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    ids = np.ascontiguousarray(stage.ids[::OVERSAMPLE, ::OVERSAMPLE])
    return View(through_lens(rng, picture, calm=scene.clear), ids, seen, sign_seen)


def _far_to_near(stage: Stage) -> list[tuple[Body | Card, int]]:
    """All that stands on the table, with its id; what is nearer is drawn later and so covers what is behind it."""
    things: list[tuple[Body | Card, int]] = [(thing, number + 1) for number, thing in enumerate(stage.scene.bodies)]
    things += [(item, SIGN_ID if item.sign else CARD_ID) for item in stage.scene.cards]
    return sorted(things, key=lambda entry: -float(np.linalg.norm(stage.eye.place[:2] - entry[0].place)))


def _draw(stage: Stage, thing: Body | Card, number: int, meshes: list[Mesh]) -> int:
    if isinstance(thing, Body):
        return draw_body(stage, thing, meshes[number - 1], number)
    return draw_card(stage, thing, number)
