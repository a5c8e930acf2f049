"""Decodes video files with OpenCV, to BGR."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2

from mm_edge.runtime.clock import ms_to_ns

from .frames import FramePool
from .video_decoder import Decoded, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class OpencvDecoder:
    """OpenCV reports neither why there is no next image, so that `fault` stays empty, nor images that it leaves out:
    these are counted with PyAV, if it is installed.
    """

    name, fault = "OpenCV", ""

    def __init__(self, path: Path, threads: int) -> None:
        self._video = video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        self.width, self.height = (
            round(video.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if not video.isOpened() or self.width <= 0 or self.height <= 0:
            raise unreadable(path)
        self.fps = video.get(cv2.CAP_PROP_FPS)
        self.seconds = max(0.0, video.get(cv2.CAP_PROP_FRAME_COUNT) / self.fps) if self.fps > 0 else 0.0
        self._frames = FramePool(self.height, self.width)
        self._path, self._images = path, 0

    def read(self) -> Decoded | None:
        if not self._video.grab():
            return None
        self._images += 1
        media_ns = ms_to_ns(self._video.get(cv2.CAP_PROP_POS_MSEC))
        picture = self._frames.retrieve(self._video)
        return None if picture is None else Decoded(media_ns, picture)

    def undecoded(self) -> int:
        if self._images >= self._video.get(cv2.CAP_PROP_FRAME_COUNT) or find_spec("av") is None:
            return 0
        from .pyav_decoder import count_images

        return max(0, count_images(self._path) - self._images)

    def figures(self) -> Mapping[str, float]:
        return self._frames.figures()

    def close(self) -> None:
        self._video.release()
