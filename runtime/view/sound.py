"""The audio input for the page: the newest samples and their position in the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from mm_edge.runtime.sound import SoundBlock

SHOWN_S = 0.25  # longer than the frame interval, so that a page that skips a frame misses no audio
FULL_SCALE = 32767


class Samples(NamedTuple):
    """16-bit samples, little-endian; the last one is number `end` - 1 of the stream."""

    rate: int
    end: int
    pcm: bytes


def newest_samples(block: SoundBlock, rate: int) -> Samples | None:
    """None if the ring buffer overwrote them during the copy."""
    count = min(int(rate * SHOWN_S), block.ring.capacity // 2, block.end)
    samples = np.clip(block.ring.window(block.end, count), -1, 1) * FULL_SCALE
    if not block.ring.holds(block.end, count):
        return None
    return Samples(rate, block.end, samples.astype("<i2").tobytes())
