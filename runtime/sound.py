"""A ring of mono sound whose every window is one contiguous view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class SoundRing:
    """Keeps the last `capacity` samples. Each is written twice, half a buffer apart, so that no window ever wraps.

    One thread writes. Readers copy a window out and then ask `holds`, whether it was still whole: no lock is needed.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._twice = np.zeros(2 * capacity, np.float32)
        self.written = 0  # samples ever written; before the first there is silence

    def write(self, samples: NDArray[np.float32]) -> None:
        samples = samples[-self.capacity :]
        start = self.written % self.capacity
        first = min(len(samples), self.capacity - start)
        for half in (0, self.capacity):
            self._twice[half + start : half + start + first] = samples[:first]
            self._twice[half : half + len(samples) - first] = samples[first:]
        self.written += len(samples)

    def window(self, end: int, length: int) -> NDArray[np.float32]:
        """The `length` samples before sample number `end`, as a view."""
        start = (end - length) % self.capacity
        return self._twice[start : start + length]

    def holds(self, end: int, length: int) -> bool:
        return self.written - (end - length) <= self.capacity


@dataclass(frozen=True, slots=True)
class SoundBlock:
    """The samples [end - count, end) of a ring: one hop. The window that the model hears ends where the block ends."""

    ring: SoundRing
    end: int
    count: int
