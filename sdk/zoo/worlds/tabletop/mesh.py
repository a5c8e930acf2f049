"""The six body shapes as unit-size meshes that stand on the plane z = 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats

SHAPES = ("ball", "cube", "cylinder", "cone", "ring", "pyramid")


@dataclass(frozen=True)
class Mesh:
    """`faces` are convex polygons of vertex numbers, anticlockwise from outside; `normals` one unit vector a face.

    `middle` [faces, vertices] times the vertices gives the middle of every face.
    """

    vertices: Floats
    faces: tuple[tuple[int, ...], ...]
    normals: Floats
    middle: Floats


def _mesh(vertices: Floats, faces: list[tuple[int, ...]]) -> Mesh:
    normals = []
    middle = np.zeros((len(faces), len(vertices)))
    for row, face in enumerate(faces):
        middle[row, list(face)] = 1 / len(face)
        a, b, c = vertices[face[0]], vertices[face[1]], vertices[face[2]]
        normal = np.cross(b - a, c - a)
        normals.append(normal / max(float(np.linalg.norm(normal)), 1e-9))
    return Mesh(vertices, tuple(faces), np.array(normals), middle)


def _circle(radius: float, height: float, points: int) -> Floats:
    angle = np.arange(points) * 2 * np.pi / points
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(points, height)], 1)


def _ball(around: int = 24, up: int = 14) -> Mesh:
    tilt = np.pi * np.arange(1, up) / up
    rows = [_circle(float(np.sin(t)), 1 - float(np.cos(t)), around) for t in tilt]
    vertices = np.concatenate([*rows, [[0, 0, 0], [0, 0, 2]]])
    bottom, top = len(vertices) - 2, len(vertices) - 1
    faces: list[tuple[int, ...]] = []
    for i in range(around):
        j = (i + 1) % around
        faces.append((bottom, j, i))
        for row in range(up - 2):
            a, b = row * around, (row + 1) * around
            faces.append((a + i, a + j, b + j, b + i))
        last = (up - 2) * around
        faces.append((last + i, last + j, top))
    return _mesh(vertices, faces)


def _prism(foot: Floats, head: Floats) -> Mesh:
    n = len(foot)
    faces: list[tuple[int, ...]] = [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)]
    faces += [tuple(range(n, 2 * n)), tuple(reversed(range(n)))]
    return _mesh(np.concatenate([foot, head]), faces)


def _spire(foot: Floats, height: float) -> Mesh:
    n = len(foot)
    faces: list[tuple[int, ...]] = [(i, (i + 1) % n, n) for i in range(n)]
    faces.append(tuple(reversed(range(n))))
    return _mesh(np.concatenate([foot, [[0, 0, height]]]), faces)


def _ring(around: int = 24, section: int = 10, radius: float = 0.8, tube: float = 0.3) -> Mesh:
    u, v = np.meshgrid(np.arange(around) * 2 * np.pi / around, np.arange(section) * 2 * np.pi / section, indexing="ij")
    out = radius + tube * np.cos(v)
    vertices = np.stack([out * np.cos(u), out * np.sin(u), tube + tube * np.sin(v)], -1).reshape(-1, 3)
    faces: list[tuple[int, ...]] = []
    for i in range(around):
        for k in range(section):
            i2, k2 = (i + 1) % around, (k + 1) % section
            faces.append((i * section + k, i2 * section + k, i2 * section + k2, i * section + k2))
    return _mesh(vertices, faces)


@lru_cache
def body(shape: str) -> Mesh:
    """The mesh of one of SHAPES; about two units wide."""
    square = _circle(1.15, 0, 4)
    if shape == "ball":
        return _ball()
    if shape == "cube":
        return _prism(square, square + np.array([0, 0, 1.63]))
    if shape == "cylinder":
        return _prism(_circle(0.8, 0, 22), _circle(0.8, 1.9, 22))
    if shape == "cone":
        return _spire(_circle(0.95, 0, 24), 2.1)
    if shape == "ring":
        return _ring()
    if shape == "pyramid":
        return _spire(_circle(1.3, 0, 4), 1.8)
    raise KeyError(shape)
