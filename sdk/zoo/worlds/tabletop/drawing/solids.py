"""Draws the bodies: their meshes where they stand, shaded_faces face by face, the nearest last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mm_edge.zoo.worlds.tabletop.mesh import body

from .camera import shaded_faces

if TYPE_CHECKING:
    from mm_edge.zoo.worlds.tabletop.mesh import Mesh
    from mm_edge.zoo.worlds.tabletop.scene import Body

    from .canvas import Canvas

SIXTEENTHS = 4  # bits behind the point in the coordinates that OpenCV is given


def posed(thing: Body) -> Mesh:
    """The body's mesh in its pose, in table units."""
    mesh = body(thing.shape)
    turn = np.eye(3)
    c, s = np.cos(thing.turn), np.sin(thing.turn)
    turn[:2, :2] = [[c, -s], [s, c]]
    if thing.tipped and thing.shape in {"cylinder", "cone", "ring"}:
        turn = turn @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    vertices = mesh.vertices @ turn.T
    vertices = (vertices - [0, 0, vertices[:, 2].min()]) * thing.size + [*thing.place, 0]
    return replace(mesh, vertices=vertices, normals=mesh.normals @ turn.T)


def draw_body(canvas: Canvas, thing: Body, mesh: Mesh, number: int) -> int:
    """Draws the body and returns its pixel count, including pixels outside the picture."""
    projection = canvas.projection
    centers = mesh.middle @ mesh.vertices
    to_camera = projection.place - centers
    toward = (to_camera * mesh.normals).sum(1) > 0
    colors = shaded_faces(mesh.normals, to_camera, np.array(canvas.scene.light), canvas.rng.uniform(0.35, 0.6), thing)
    seen = projection.project(mesh.vertices)
    corner = np.floor(seen.min(0)).astype(int) - 1
    width, height = np.ceil(seen.max(0)).astype(int) + 2 - corner
    if max(width, height) > 2 * canvas.pixels.shape[0]:
        return 0
    layer = np.zeros((height, width, 4), np.uint8)
    local = np.round((seen - corner) * 2**SIXTEENTHS).astype(np.int32)
    order = np.argsort(-np.linalg.norm(centers - projection.place, axis=1))
    for face in order[toward[order]]:
        r, g, b = (colors[face] * 255).tolist()
        cv2.fillConvexPoly(layer, local[list(mesh.faces[face])], (r, g, b, 255), cv2.LINE_8, SIXTEENTHS)
    return canvas.lay(layer, corner, number, thing.pattern)
