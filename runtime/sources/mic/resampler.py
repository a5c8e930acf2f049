"""Resamples an audio stream to the model's rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Resampler:
    """Output sample k corresponds to input sample k * rate / goal: no shift, only delayed delivery."""

    def __init__(self, rate: int, goal: int) -> None:
        self.rate, self.goal = rate, goal
        self._stream = None
        if rate != goal:
            import soxr

            self._stream = soxr.ResampleStream(rate, goal, 1, dtype="float32", quality=soxr.HQ)

    def push(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """The samples that are ready; with `last`, also all that are buffered."""
        if self._stream is None:
            return samples
        ready: NDArray[np.float32] = self._stream.resample_chunk(samples, last=last)
        return ready
