"""A fixed piece of work that is timed beside every round: what a machine's pace changes, it changes here too.

Ratios to it let a run of today be held against the file of last month on a machine whose clock, neighbours or heat are
not the same: docs/benchmarks.md tells how much of a drift it takes out.
"""

from __future__ import annotations

import statistics

import numpy as np

from .measure import timed

SIDE = 64  # so small that no library splits it among threads
PRODUCTS = 30
PICTURE = (720, 1280, 3)


class Yardstick:
    """Multiplies small matrices: of the kinds of work that were tried it follows the pace of encoders the closest."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._left, self._right = (generator.random((SIDE, SIDE), np.float32) for _ in range(2))
        self._product = np.empty((SIDE, SIDE), np.float32)
        self._picture = generator.integers(0, 255, PICTURE, np.uint8)
        self._copy = np.empty_like(self._picture)

    def __call__(self) -> None:
        """Once, for timing it in turns with something else."""
        for _ in range(PRODUCTS):
            np.matmul(self._left, self._right, out=self._product)

    def us(self, seconds: float = 0.03) -> float:
        """Its pace now, in microseconds."""
        return statistics.median(timed(self, seconds, 5)) * 1000

    def copy_gb_per_s(self, seconds: float = 0.03) -> float:
        """How fast a picture is read and written: the floor of everything that touches each of its pixels."""
        ms = statistics.median(timed(lambda: np.copyto(self._copy, self._picture), seconds, 5))
        return 2 * self._picture.nbytes / ms / 1e6
