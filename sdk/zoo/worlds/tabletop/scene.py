"""A scene: bodies, cards, clutter, light and camera, all drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from .mesh import SHAPES
from .signs import SIGNS

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats

Split = Literal["train", "tune", "held-out"]
COLORS = ("red", "green", "blue", "yellow", "orange", "purple")
# Hue in degrees. Gaps separate the colours: hues that people would disagree about are not used.
HUES: dict[str, tuple[float, float]] = {
    "red": (-9, 7),
    "orange": (20, 34),
    "yellow": (48, 61),
    "green": (92, 152),
    "blue": (200, 238),
    "purple": (264, 298),
}
TRAINING_LAYOUTS = ("scatter", "cluster", "pair")
HELD_OUT_LAYOUTS = ("row", "circle", "grid")
MOST_BODIES = 6


@dataclass(frozen=True)
class Body:
    """An object that a phrase can name. Lengths are in table units; about three of them are in view."""

    shape: str
    color: str
    rgb: tuple[float, float, float]
    place: tuple[float, float]
    size: float
    turn: float
    tipped: bool
    pattern: str
    gloss: float


@dataclass(frozen=True)
class Card:
    """A card that stands or lies on the table. `hidden`: the direction and share of its occlusion by a hand."""

    sign: str | None
    place: tuple[float, float]
    size: float
    turn: float
    lean: float
    hidden: tuple[float, float] | None = None


@dataclass(frozen=True)
class Camera:
    """Degrees and table units; `reach` is half of what it sees at the middle."""

    around: float
    elevation: float
    distance: float
    roll: float
    reach: float


@dataclass(frozen=True)
class Scene:
    """Everything the renderer needs; `seed` determines textures and noise."""

    seed: tuple[int, ...]
    split: Split
    camera: Camera
    light: tuple[float, float, float]
    bodies: tuple[Body, ...]
    cards: tuple[Card, ...]
    clutter: int
    clear: bool = field(default=False)  # little blur, little noise


SPLIT_NUMBER: dict[Split, int] = {"train": 0, "tune": 1, "held-out": 2}
# Probabilities of no, one and two cards without a command. Training has more of them, as they are hard negatives.
OTHER_CARDS: dict[Split, tuple[float, ...]] = {
    "train": (0.3, 0.5, 0.2),
    "tune": (0.55, 0.35, 0.1),
    "held-out": (0.55, 0.35, 0.1),
}


def rgb_of(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """HSV in degrees and 0..1, to RGB in 0..1."""
    h = (hue % 360) / 60
    parts = [value * (1 - saturation * max(0.0, min(k, 4 - k, 1.0))) for k in ((5 + h) % 6, (3 + h) % 6, (1 + h) % 6)]
    return parts[0], parts[1], parts[2]


def paint(rng: np.random.Generator, color: str) -> tuple[float, float, float]:
    low, high = HUES[color]
    return rgb_of(rng.uniform(low, high), rng.uniform(0.68, 1.0), rng.uniform(0.62, 1.0))


def sample(seed: int, index: int, split: Split, *, half_hidden: bool | None = None) -> Scene:
    """The scene with this index. `half_hidden` forces or forbids a hand in front of the sign."""
    rng = np.random.default_rng((seed, SPLIT_NUMBER[split], index))
    held_out = split == "held-out"
    light_angle, light_up = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.25)
    camera = Camera(
        around=rng.uniform(0, 360),
        elevation=rng.uniform(30, 78),
        distance=rng.uniform(4.2, 7.5),
        roll=rng.normal(0, 4),
        reach=rng.uniform(1.15, 1.75),
    )
    sign = SIGNS[rng.integers(len(SIGNS))] if rng.random() < 0.66 else None
    wanted: list[str | None] = [sign] if sign is not None else []
    wanted += [None] * int(rng.choice([0, 1, 2], p=OTHER_CARDS[split]))
    count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.08, 0.2, 0.27, 0.23, 0.14, 0.08]))
    layouts = HELD_OUT_LAYOUTS if held_out else TRAINING_LAYOUTS
    places = _places(rng, str(rng.choice(layouts)), count + len(wanted), camera.reach)
    facing = np.deg2rad(camera.around)
    cards = []
    for which, (x, y) in zip(wanted, places, strict=False):
        hidden = None
        covered = rng.random() < 0.3 if half_hidden is None else half_hidden
        if which is not None and covered:
            hidden = (float(rng.integers(4) * 90 + rng.uniform(-25, 25)), float(rng.uniform(0.42, 0.58)))
        cards.append(
            Card(
                sign=which,
                place=(0.75 * x, 0.75 * y),
                size=rng.uniform(0.25, 0.46) * camera.reach,
                turn=float(facing + np.deg2rad(rng.uniform(-35, 35))),
                lean=float(np.deg2rad(rng.choice([rng.uniform(60, 95), rng.uniform(0, 15)], p=[0.7, 0.3]))),
                hidden=hidden,
            )
        )
    bodies: list[Body] = []
    for place in places[len(wanted) :]:
        color, shape = str(rng.choice(COLORS)), str(rng.choice(SHAPES))
        if bodies and rng.random() < 0.3:  # near misses: the same colour or the same shape again
            other = bodies[rng.integers(len(bodies))]
            color, shape = (other.color, shape) if rng.random() < 0.5 else (color, other.shape)
        bodies.append(
            Body(
                shape=shape,
                color=color,
                rgb=paint(rng, color),
                place=place,
                size=rng.uniform(0.15, 0.3) * camera.reach,
                turn=rng.uniform(0, 2 * np.pi),
                tipped=rng.random() < 0.25,
                pattern=str(rng.choice(["plain", "mottled", "grain", "bands"], p=[0.5, 0.2, 0.15, 0.15])),
                gloss=rng.uniform(0, 0.6),
            )
        )
    return Scene(
        seed=(seed, SPLIT_NUMBER[split], index),
        split=split,
        camera=camera,
        light=(np.cos(light_angle) * np.cos(light_up), np.sin(light_angle) * np.cos(light_up), np.sin(light_up)),
        bodies=tuple(bodies),
        cards=tuple(cards),
        clutter=int(rng.choice([0, 2, 5, 8], p=[0.25, 0.35, 0.25, 0.15])),
    )


def without_hand(scene: Scene) -> Scene:
    return replace(scene, cards=tuple(replace(card, hidden=None) for card in scene.cards))


def _places(rng: np.random.Generator, layout: str, count: int, reach: float) -> list[tuple[float, float]]:
    """Positions in random order, so that cards and bodies share every layout."""
    span = 0.8 * reach
    points: Floats
    if layout == "row":
        along = np.linspace(-span, span, count) if count > 1 else np.zeros(1)
        points = np.stack([along, rng.normal(0, 0.1 * reach, count)], 1)
        points = _turned(points, rng.uniform(0, np.pi))
    elif layout == "circle":
        angle = rng.uniform(0, 6.28) + np.arange(count) * 2 * np.pi / count
        points = rng.uniform(0.5, 0.85) * span * np.stack([np.cos(angle), np.sin(angle)], 1)
    elif layout == "grid":
        side = int(np.ceil(np.sqrt(count)))
        cells = rng.permutation(side * side)[:count]
        points = (np.stack([cells % side, cells // side], 1) + 0.5) / side * 2 - 1
        points = _turned(points * span * 0.9 + rng.normal(0, 0.05 * reach, (count, 2)), rng.uniform(0, np.pi))
    else:
        center = rng.uniform(-0.25, 0.25, 2) * reach if layout == "cluster" else np.zeros(2)
        wide = 0.7 * span if layout == "cluster" else span
        points = _apart(rng, count, wide, (0.3 if layout == "cluster" else 0.45) * reach) + center
    return [(float(x), float(y)) for x, y in points[rng.permutation(count)]]


def _turned(points: Floats, angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[c, s], [-s, c]]))


def _apart(rng: np.random.Generator, count: int, span: float, gap: float) -> Floats:
    """Random points that keep a distance of `gap`, as far as a few attempts allow."""
    chosen: list[Floats] = []
    for _ in range(count):
        tries = rng.uniform(-span, span, (12, 2))
        if not chosen:
            chosen.append(tries[0])
            continue
        nearest = np.linalg.norm(tries[:, None] - np.array(chosen)[None], axis=-1).min(1)
        good = np.flatnonzero(nearest > gap)
        chosen.append(tries[good[0] if len(good) else int(nearest.argmax())])
    return np.array(chosen)
