"""Replaces cv2.VideoCapture by the simulated camera, for libraries that open cameras themselves.

The capture time is written into the first bytes of the picture, so that it survives any processing in the library.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

STAMP_BYTES = 8


class SimulatedCapture:
    """The part of cv2.VideoCapture that applies to cameras."""

    def __init__(self, camera: Any, stalls_s: float = 0.0) -> None:
        self._camera, self._stalls_s = camera, stalls_s
        self._now: tuple[int, Any] | None = None
        self._open = True

    def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
        return self._open

    def grab(self) -> bool:
        self._now = self._camera.grab()
        self._open = self._now is not None
        if not self._open:
            time.sleep(self._stalls_s)
        return self._open

    def retrieve(self, *_channel: Any) -> tuple[bool, Any]:
        """A new picture, as a driver's decoder returns."""
        if self._now is None:
            return False, None
        stamp, picture = self._now
        made = picture.copy()
        made.reshape(-1)[:STAMP_BYTES] = np.frombuffer(stamp.to_bytes(STAMP_BYTES, "little"), np.uint8)
        return True, made

    def read(self, *_picture: Any) -> tuple[bool, Any]:
        return self.retrieve() if self.grab() else (False, None)

    def get(self, what: int) -> float:
        height, width = self._camera.size
        known: dict[int, float] = {
            cv2.CAP_PROP_FPS: self._camera.fps,
            cv2.CAP_PROP_FRAME_WIDTH: float(width),
            cv2.CAP_PROP_FRAME_HEIGHT: float(height),
        }
        return known.get(what, 0.0)

    def set(self, _what: int, _value: float) -> bool:
        return False

    def release(self) -> None:
        self._open = False


@contextlib.contextmanager
def instead_of_cv2(camera: Any, stalls_s: float = 0.0) -> Iterator[None]:
    """Replaces cv2.VideoCapture. At its end the camera stalls for `stalls_s` before it reports the end."""
    with mock.patch.object(cv2, "VideoCapture", return_value=SimulatedCapture(camera, stalls_s)):
        yield


def stamp_of(picture: Any) -> int:
    return int.from_bytes(picture.reshape(-1)[:STAMP_BYTES].tobytes(), "little")
