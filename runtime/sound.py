"""A ring buffer of mono sound in which every window is one contiguous view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from mm_edge.errors import InputError, MmEdgeError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OverrunError(MmEdgeError):
    """Sound was overwritten before it was read; the loop counts it as stale and continues."""


class SoundRing:
    """Stores the last `capacity` samples. Each is written twice, half a buffer apart, so that no window wraps.

    One thread writes. Readers copy a window and then check with `holds` that it was not overwritten meanwhile. No lock
    is needed: a write announces what it overwrites before it does.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._twice = np.zeros(2 * capacity, np.float32)
        self._claimed = 0  # the value of `written` after the write in progress
        self.written = 0  # the number of samples so far; before the first there is silence

    def write(self, samples: NDArray[np.float32]) -> None:
        self._claimed = self.written + len(samples)
        samples = samples[-self.capacity :]
        start = (self._claimed - len(samples)) % self.capacity
        first = min(len(samples), self.capacity - start)
        for half in (0, self.capacity):
            self._twice[half + start : half + start + first] = samples[:first]
            self._twice[half : half + len(samples) - first] = samples[first:]
        self.written = self._claimed

    def window(self, end: int, length: int) -> NDArray[np.float32]:
        """The `length` samples before sample number `end`, as a view. Not longer than the ring."""
        start = (end - length) % self.capacity
        return self._twice[start : start + length]

    def holds(self, end: int, length: int) -> bool:
        return end <= self.written and self._claimed - (end - length) <= self.capacity


class SoundBlock(Struct, frozen=True):
    """The samples [end - count, end) of a ring: one hop. The model's window ends where the block ends."""

    ring: SoundRing
    end: int
    count: int


def sound_block(samples: NDArray[Any], window: int) -> SoundBlock:
    """One window of mono sound in [-1, 1] as the loop's payload. Shorter sound is preceded by silence, longer sound
    keeps its end.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.size == 0 or not np.issubdtype(samples.dtype, np.floating):
        raise InputError(
            f"found an array of {samples.dtype} {list(samples.shape)}",
            action="reading sound: expected mono float samples in [-1, 1] at the model's rate, one dimension",
            hint="Divide 16-bit integers by 32768, and average stereo channels",
        )
    ring = SoundRing(window)
    with np.errstate(over="ignore"):  # infinity, which the check of the input reports
        ring.write(samples[-window:].astype(np.float32, copy=False))
    return SoundBlock(ring, ring.written, min(window, samples.size))
