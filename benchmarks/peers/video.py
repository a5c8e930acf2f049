"""The frames of a video file in order, as OpenCV reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

if TYPE_CHECKING:
    from collections.abc import Iterator


def frames_of(video: str) -> Iterator[Any]:
    capture = cv2.VideoCapture(video)
    while True:
        good, frame = capture.read()
        if not good:
            break
        yield frame
    capture.release()
