"""A pinhole camera that crop_plans at the middle of the table, and light as it falls on faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats
    from mm_edge.zoo.worlds.tabletop.scene import Body, Scene


class Projection:
    """The camera's position and its projection matrix from table units to pixels."""

    def __init__(self, scene: Scene, side: int) -> None:
        camera = scene.camera
        a, e = np.deg2rad(camera.around), np.deg2rad(camera.elevation)
        self.place = camera.distance * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        forward = -self.place / np.linalg.norm(self.place)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        roll = np.deg2rad(camera.roll)
        rows = np.stack(
            [np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, forward]
        )
        focal = side / 2 * camera.distance / camera.reach
        lens = np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
        self.matrix = lens @ np.concatenate([rows, (-rows @ self.place)[:, None]], 1)

    def project(self, points: Floats) -> Floats:
        """World points [n, 3] as pixels [n, 2]."""
        seen = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return np.asarray(seen[:, :2] / seen[:, 2:])

    def table_homography(self) -> Floats:
        """The homography from the table's plane to pixels."""
        return np.asarray(self.matrix[:, [0, 1, 3]])


def shaded_faces(normals: Floats, to_camera: Floats, light: Floats, ambient: float, thing: Body) -> Floats:
    """Colours [faces, 3] in 0..1: ambient, diffuse and specular light; `to_camera` points from faces to the camera."""
    color = np.array(thing.rgb)
    diffuse = np.clip(normals @ light, 0, None)
    half = to_camera / np.linalg.norm(to_camera, axis=1, keepdims=True) + light
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = thing.gloss * np.clip((normals * half).sum(1), 0, None) ** 24
    from_table = 0.08 * np.clip(-normals[:, 2], 0, None)
    shaded = color * (ambient + (1.05 - ambient) * diffuse + from_table)[:, None] + shine[:, None]
    return np.asarray(np.clip(shaded, 0, 1))
