"""A pool of frame buffers, reused once nobody references them, so that an image is never copied twice."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import cv2

Frame = NDArray[np.uint8]
MOST_FRAMES = 32


class FramePool:
    """Hands out frames without other references. Grows up to `most` while all are in use; further frames are not
    pooled.

    Used only by the thread that reads the camera. A reference to a frame, or to any view of it, keeps it from being
    reused: the pool checks the interpreter's reference count, so nobody has to return a frame.
    """

    def __init__(self, height: int = 1, width: int = 1, most: int = MOST_FRAMES) -> None:
        self.most = most
        self.outside = 0  # frames allocated outside the pool
        self.reshape(height, width)
        self._idle = self._references(0)  # the reference count of a frame that only the pool references

    def __len__(self) -> int:
        return len(self._frames)

    def reshape(self, height: int, width: int) -> None:
        """Drops all frames; those in use stay alive with their users."""
        self.shape = (height, width, 3)
        self._frames: list[Frame] = [np.empty(self.shape, np.uint8)]

    def take(self) -> Frame:
        for at in range(len(self._frames)):  # the first free one: few frames, and they stay in the CPU cache
            if self._references(at) == self._idle:
                return self._frames[at]
        frame = np.empty(self.shape, np.uint8)
        if len(self._frames) < self.most:
            self._frames.append(frame)
        else:
            self.outside += 1
        return frame

    def retrieve(self, video: cv2.VideoCapture) -> Frame | None:
        """Decodes the image that `video` has grabbed into a frame of the pool. None: nothing was grabbed."""
        frame = self.take()
        retrieved, picture = video.retrieve(frame)
        if not retrieved:
            return None
        if picture.shape != self.shape:  # the stream changed its size, and OpenCV allocated a new array
            self.reshape(*picture.shape[:2])
        return picture  # type: ignore[return-value]  # OpenCV's stubs have no dtype

    def figures(self) -> dict[str, float]:
        return {"frames": len(self), "frames_outside_pool": self.outside}

    def _references(self, at: int) -> int:
        return sys.getrefcount(self._frames[at])
