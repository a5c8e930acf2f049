"""Frames that are read into again once nobody looks at them any more, so that a picture is never copied twice."""

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
    """Gives frames that nobody else holds. It grows while all are in use, up to `most`; beyond, frames are not kept.

    Used by the one thread that reads the camera. Whoever holds a frame, or any view of it, keeps it from being used
    again: the interpreter's own count of references says so, and nobody has to hand a frame back.
    """

    def __init__(self, height: int = 1, width: int = 1, most: int = MOST_FRAMES) -> None:
        self.most = most
        self.outside = 0  # frames that were made and not kept
        self.reshape(height, width)
        self._idle = self._references(0)  # what the count is when only the pool holds a frame

    def __len__(self) -> int:
        return len(self._frames)

    def reshape(self, height: int, width: int) -> None:
        """Forgets all frames: those that are in use live on with whoever uses them."""
        self.shape = (height, width, 3)
        self._frames: list[Frame] = [np.empty(self.shape, np.uint8)]

    def take(self) -> Frame:
        for at in range(len(self._frames)):  # always the first that is free: few frames, and those still in the cache
            if self._references(at) == self._idle:
                return self._frames[at]
        frame = np.empty(self.shape, np.uint8)
        if len(self._frames) < self.most:
            self._frames.append(frame)
        else:
            self.outside += 1
        return frame

    def retrieve(self, video: cv2.VideoCapture) -> Frame | None:
        """The picture that `video` has grabbed, decoded into a frame of the pool. None: it has none."""
        frame = self.take()
        there, picture = video.retrieve(frame)
        if not there:
            return None
        if picture.shape != self.shape:  # the stream has changed its size, and OpenCV has made an array of its own
            self.reshape(*picture.shape[:2])
        return picture  # type: ignore[return-value]  # OpenCV's stubs know no dtype

    def figures(self) -> dict[str, float]:
        return {"frames": len(self), "frames_outside_pool": self.outside}

    def _references(self, at: int) -> int:
        return sys.getrefcount(self._frames[at])
