"""Frames that are read into again once nobody looks at them any more, so that a picture is never copied twice."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
MOST_FRAMES = 32


class FramePool:
    """Gives frames that nobody else holds. It grows while all are in use, up to `most`; beyond, frames are not kept.

    Used by the one thread that reads the camera. Whoever holds a frame, or any view of it, keeps it from being used
    again: the interpreter's own count of references says so, and nobody has to hand a frame back.
    """

    def __init__(self, height: int, width: int, most: int = MOST_FRAMES) -> None:
        self.shape = (height, width, 3)
        self.most = most
        self.outside = 0  # frames that were made and not kept
        self._frames: list[Frame] = [np.empty(self.shape, np.uint8)]
        self._next = 0
        self._idle = self._references(0)  # what the count is when only the pool holds a frame

    def __len__(self) -> int:
        return len(self._frames)

    def take(self) -> Frame:
        count = len(self._frames)
        for step in range(count):
            at = (self._next + step) % count  # the longest untouched first
            if self._references(at) == self._idle:
                self._next = at + 1
                return self._frames[at]
        frame = np.empty(self.shape, np.uint8)
        if count < self.most:
            self._frames.append(frame)
        else:
            self.outside += 1
        return frame

    def _references(self, at: int) -> int:
        return sys.getrefcount(self._frames[at])
