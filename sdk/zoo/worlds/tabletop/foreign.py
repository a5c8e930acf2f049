"""Out-of-domain pictures: flat drawings with outlines, and scenes drawn by matplotlib's 3-D renderer.

They share nothing with the training renderer: no meshes, light, shadows or camera effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .mesh import SHAPES
from .scene import COLORS, paint

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.zoo.arrays import Floats, Picture

SIDE = 160
SPOTS = ((42, 46), (116, 44), (44, 114), (118, 116))


@dataclass(frozen=True)
class ForeignPicture:
    """`things` are colour, shape and a box around it, in pixels: x0, y0, x1, y1."""

    picture: Picture
    things: tuple[tuple[str, str, tuple[float, float, float, float]], ...]


def _cast(rng: np.random.Generator) -> list[tuple[str, str, tuple[int, int], int]]:
    """Two to four objects with distinct names, their places and sizes."""
    count = int(rng.integers(2, 5))
    names = rng.permutation(len(COLORS) * len(SHAPES))[:count]
    spots = rng.permutation(len(SPOTS))[:count]
    return [
        (COLORS[name // len(SHAPES)], SHAPES[name % len(SHAPES)], SPOTS[spot], int(rng.integers(18, 29)))
        for name, spot in zip(names.tolist(), spots.tolist(), strict=True)
    ]


def drawn(seed: int) -> ForeignPicture:
    """A flat drawing: plain colours, a second tone for the shaded side, black outlines, plain background."""
    rng = np.random.default_rng((seed, 71))
    picture: Picture = np.full((SIDE, SIDE, 3), rng.integers(190, 256, 3), np.uint8)
    things = []
    for color, shape, spot, radius in _cast(rng):
        tone = np.array(paint(rng, color)) * 255
        _SKETCHES[shape](picture, np.array(spot), radius, tone)
        x, y = spot
        things.append((color, shape, (x - radius, y - radius, x + radius, y + radius)))
    return ForeignPicture(np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8), tuple(things))


def _fill(picture: Picture, middle: Floats, radius: int, shape: list[tuple[float, float]], tone: Floats) -> None:
    points = np.round(middle + radius * np.array(shape)).astype(np.int32)
    cv2.fillPoly(picture, [points], tone.tolist(), cv2.LINE_AA)
    cv2.polylines(picture, [points], True, (20, 20, 20), 2, cv2.LINE_AA)


def _oval(picture: Picture, middle: Floats, size: tuple[float, float], tone: Floats | None, thick: int = 2) -> None:
    place, axes = np.round(middle).astype(int).tolist(), (round(size[0]), round(size[1]))
    if tone is not None:
        cv2.ellipse(picture, place, axes, 0, 0, 360, tone.tolist(), -1, cv2.LINE_AA)
    cv2.ellipse(picture, place, axes, 0, 0, 360, (20, 20, 20), thick, cv2.LINE_AA)


def _ball(picture: Picture, middle: Floats, radius: int, tone: Floats) -> None:
    _oval(picture, middle, (radius, radius), tone)
    cv2.circle(picture, np.round(middle - radius * 0.35).astype(int).tolist(), round(radius * 0.2), (255, 255, 255), -1)


def _cube(picture: Picture, middle: Floats, radius: int, tone: Floats) -> None:
    _fill(picture, middle, radius, [(0, -1), (0.87, -0.5), (0, 0), (-0.87, -0.5)], np.minimum(tone * 1.2, 255))
    _fill(picture, middle, radius, [(-0.87, -0.5), (0, 0), (0, 1), (-0.87, 0.5)], tone)
    _fill(picture, middle, radius, [(0.87, -0.5), (0, 0), (0, 1), (0.87, 0.5)], tone * 0.7)


def _cylinder(picture: Picture, middle: Floats, radius: int, tone: Floats) -> None:
    turn = np.linspace(0, np.pi, 12)
    foot = [(0.65 * float(np.cos(t)), 0.7 + 0.28 * float(np.sin(t))) for t in turn]
    _fill(picture, middle, radius, [(-0.65, -0.7), (0.65, -0.7), *foot], tone * 0.85)
    _oval(picture, middle - [0, 0.7 * radius], (0.65 * radius, 0.28 * radius), np.minimum(tone * 1.2, 255))


def _cone(picture: Picture, middle: Floats, radius: int, tone: Floats) -> None:
    turn = np.linspace(0, np.pi, 12)
    foot = [(0.8 * float(np.cos(t)), 0.65 + 0.3 * float(np.sin(t))) for t in turn]
    _fill(picture, middle, radius, [(0, -1), *foot], tone)


def _ring(picture: Picture, middle: Floats, radius: int, tone: Floats) -> None:
    hole = picture[int(middle[1]), int(middle[0])].astype(np.float64)
    _oval(picture, middle, (radius, 0.75 * radius), tone)
    _oval(picture, middle, (0.45 * radius, 0.3 * radius), hole)


def _pyramid(picture: Picture, middle: Floats, radius: int, tone: Floats) -> None:
    _fill(picture, middle, radius, [(0, -1), (-0.95, 0.55), (0.15, 0.95)], tone)
    _fill(picture, middle, radius, [(0, -1), (0.15, 0.95), (0.95, 0.45)], tone * 0.7)


_SKETCHES: dict[str, Callable[[Picture, Floats, int, Floats], None]] = {
    "ball": _ball,
    "cube": _cube,
    "cylinder": _cylinder,
    "cone": _cone,
    "ring": _ring,
    "pyramid": _pyramid,
}


@lru_cache(256)
def plotted(seed: int) -> ForeignPicture:
    """Surfaces drawn by matplotlib, with its own light on a white background."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rng = np.random.default_rng((seed, 73))
    figure = Figure(figsize=(1.6, 1.6), dpi=100)
    canvas = FigureCanvasAgg(figure)
    things = []
    for color, shape, (x, y), radius in _cast(rng):
        box = (x - radius * 1.25, y - radius * 1.25, 2.5 * radius, 2.5 * radius)
        place = (box[0] / SIDE, 1 - (box[1] + box[3]) / SIDE, box[2] / SIDE, box[3] / SIDE)
        axes: Any = figure.add_axes(place, projection="3d")  # its stub knows flat axes only
        axes.set_axis_off()
        axes.set_box_aspect((1, 1, 1), zoom=1.35)
        axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
        tone = paint(rng, color)
        for patch in _surfaces(shape):
            axes.plot_surface(*patch, color=tone, shade=True, linewidth=0, antialiased=False)
        axes.view_init(elev=float(rng.uniform(25, 55)), azim=float(rng.uniform(0, 360)))
        things.append((color, shape, (box[0], box[1], box[0] + box[2], box[1] + box[3])))
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib ships it untyped
    rgba = canvas.buffer_rgba()  # type: ignore[no-untyped-call]  # likewise
    picture = np.ascontiguousarray(np.asarray(rgba)[..., :3])
    return ForeignPicture(picture, tuple(things))


def _surfaces(shape: str) -> list[tuple[Floats, Floats, Floats]]:
    """The body as patches x, y, z over two parameters."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13))
    turn, up = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, 1, 5))
    if shape == "ball":
        return [(np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v))]
    if shape == "ring":
        wide = 0.75 + 0.28 * np.cos(2 * v)
        return [(wide * np.cos(u), wide * np.sin(u), 0.28 * np.sin(2 * v))]
    if shape in {"cylinder", "cube"}:
        corner, radius = (turn, 0.7) if shape == "cylinder" else (_cornered(turn), 1.0)
        lid = radius * up
        side = (radius * np.cos(corner), radius * np.sin(corner), 1.6 * up - 0.8)
        return [side, (lid * np.cos(corner), lid * np.sin(corner), np.full_like(up, 0.8))]
    corner = turn if shape == "cone" else _cornered(turn)
    narrow = 1 - up
    return [(narrow * np.cos(corner), narrow * np.sin(corner), 1.8 * up - 0.9)]


def _cornered(turn: Floats) -> Floats:
    """Angles rounded to the corners of a square, which turns a round shape into a square one."""
    return np.asarray(np.round(turn / (np.pi / 2)) * (np.pi / 2))
