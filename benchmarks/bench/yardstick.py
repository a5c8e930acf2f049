"""The reference timing: a fixed piece of work that is timed with every round, to measure the machine's current speed.

Ratios to it make runs comparable across changes of clock, other load or temperature.
"""

from __future__ import annotations

import statistics

import numpy as np

from .measure import timed

SIDE = 64  # too small for any library to use several threads
PRODUCTS = 30
PICTURE = (720, 1280, 3)


class Yardstick:
    """Multiplies small matrices, which of all tried workloads scales most like the encoders."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._left, self._right = (generator.random((SIDE, SIDE), np.float32) for _ in range(2))
        self._product = np.empty((SIDE, SIDE), np.float32)
        self._picture = generator.integers(0, 255, PICTURE, np.uint8)
        self._copy = np.empty_like(self._picture)

    def __call__(self) -> None:
        """Runs it once, for timing in turns with another function."""
        for _ in range(PRODUCTS):
            np.matmul(self._left, self._right, out=self._product)

    def us(self, seconds: float = 0.03) -> float:
        """The current timing in microseconds."""
        return statistics.median(timed(self, seconds, 5)) * 1000

    def copy_gb_per_s(self, seconds: float = 0.03) -> float:
        """The copy rate of a picture: a lower bound for any operation on all its pixels."""
        ms = statistics.median(timed(lambda: np.copyto(self._copy, self._picture), seconds, 5))
        return 2 * self._picture.nbytes / ms / 1e6
