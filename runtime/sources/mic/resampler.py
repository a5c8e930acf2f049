"""Brings a stream of sound to the model's rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Resampler:
    """Sample k that comes out belongs to sample k * rate / goal that went in: nothing is shifted, only given later."""

    def __init__(self, rate: int, goal: int) -> None:
        self.rate, self.goal = rate, goal
        self._stream = None
        if rate != goal:
            import soxr

            self._stream = soxr.ResampleStream(rate, goal, 1, dtype="float32", quality=soxr.HQ)

    def push(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """What has become ready. With `last` all that was held back comes too."""
        if self._stream is None:
            return samples
        ready: NDArray[np.float32] = self._stream.resample_chunk(samples, last=last)
        return ready
