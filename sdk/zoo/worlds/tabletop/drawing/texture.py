"""Procedural surface textures; the held-out split uses kinds that do not occur in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.zoo.arrays import Floats


def noise(rng: np.random.Generator, size: int, octaves: int = 4, first: int = 3) -> Floats:
    """Smooth noise in about -1..1: [size, size]."""
    total: Floats = np.zeros((size, size), np.float32)
    weight = 1.0
    for octave in range(octaves):
        cells = min(first * 2**octave, size)
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        total = total + weight * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        weight *= 0.55
    return np.asarray(total / 1.8, np.float32)


def surface(rng: np.random.Generator, kind: str, size: int = 192) -> Floats:
    """A piece of table in two tones: float32 [size, size, 3] in 0..1."""
    first, second = _two_tones(rng)
    mix = np.clip(KINDS[kind](rng, size), 0, 1)[..., None]
    return np.asarray(first.astype(np.float32) + (second - first).astype(np.float32) * mix.astype(np.float32))


def _two_tones(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Mostly muted, sometimes as saturated as the bodies."""
    base = rng.uniform(0.12, 0.9)
    tint = rng.uniform(-1, 1, 3) * (0.06 if rng.random() < 0.6 else 0.22)
    first = np.clip(base + tint, 0.03, 0.97)
    second = np.clip(first * rng.uniform(0.45, 1.6) + rng.uniform(-0.08, 0.08, 3), 0.03, 0.97)
    return first, second


def _grid(size: int) -> tuple[Floats, Floats]:
    """The row and the column of every pixel, in 0..1."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    return rows, columns


def _plain(rng: np.random.Generator, size: int) -> Floats:
    return 0.08 * noise(rng, size, 5, 8)


def _cloud(rng: np.random.Generator, size: int) -> Floats:
    return 0.5 + 0.6 * noise(rng, size, 5)


def _wood(rng: np.random.Generator, size: int) -> Floats:
    rows, _ = _grid(size)
    wave = rows * rng.uniform(8, 30) + 0.35 * noise(rng, size, 3, 2)
    return np.asarray(0.5 + 0.35 * np.sin(wave * 2) + 0.12 * noise(rng, size, 3, 16))


def _checker(rng: np.random.Generator, size: int) -> Floats:
    rows, columns = _grid(size)
    n = rng.integers(3, 14)
    return np.asarray(((rows * n).astype(int) + (columns * n).astype(int)) % 2 + 0.06 * noise(rng, size))


def _speckle(rng: np.random.Generator, size: int) -> Floats:
    return np.asarray((rng.random((size, size)) < rng.uniform(0.02, 0.3)) * rng.uniform(0.3, 1.0))


def _gradient(rng: np.random.Generator, size: int) -> Floats:
    rows, columns = _grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    slope = 0.5 + np.cos(angle) * (rows - 0.5) + np.sin(angle) * (columns - 0.5)
    return np.asarray(slope + 0.05 * noise(rng, size, 4, 8))


def _blotches(rng: np.random.Generator, size: int) -> Floats:
    return np.asarray(1 / (1 + np.exp(-9 * noise(rng, size, 3, int(rng.integers(3, 9))))))


def _scribble(rng: np.random.Generator, size: int) -> Floats:
    lines = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(4, 20))):
        points = rng.integers(0, size, (int(rng.integers(2, 6)), 2)).astype(np.int32)
        closed, tone, thick = rng.random() < 0.3, int(rng.integers(80, 256)), int(rng.integers(1, 6))
        cv2.polylines(lines, [points], closed, tone, thick, cv2.LINE_AA)
    return lines / 255.0


def _marble(rng: np.random.Generator, size: int) -> Floats:
    rows, columns = _grid(size)
    veins = np.abs(np.sin((rows + columns) * rng.uniform(4, 12) + 2.2 * noise(rng, size, 5, 2)))
    return np.asarray(veins ** rng.uniform(0.4, 1.5))


def _brick(rng: np.random.Generator, size: int) -> Floats:
    rows, columns = _grid(size)
    high = int(rng.integers(5, 12))
    row = (rows * high).astype(int)
    across = columns * high / 2 + 0.5 * (row % 2)
    mortar = ((rows * high) % 1 < 0.12) | (across % 1 < 0.06)
    return np.where(mortar, 1.0, 0.15 * noise(rng, size, 4, 8))


def _weave(rng: np.random.Generator, size: int) -> Floats:
    rows, columns = _grid(size)
    n = rng.uniform(10, 40)
    threads = 0.5 + 0.3 * np.sin(rows * n * 3) * np.sign(np.sin(columns * n))
    return np.asarray(threads + 0.1 * noise(rng, size))


KINDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "plain": _plain,
    "cloud": _cloud,
    "wood": _wood,
    "checker": _checker,
    "speckle": _speckle,
    "gradient": _gradient,
    "blotches": _blotches,
    "scribble": _scribble,
    "marble": _marble,
    "brick": _brick,
    "weave": _weave,
}
HELD_OUT_SURFACES = ("marble", "brick", "weave")
TRAINING_SURFACES = tuple(kind for kind in KINDS if kind not in HELD_OUT_SURFACES)
