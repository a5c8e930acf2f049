"""A video file played as a camera."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import cv2

from mm_edge.errors import InputError
from mm_edge.runtime.clock import NS_PER_S, ms_to_ns
from mm_edge.runtime.source import Capture, Opened

from .frames import FramePool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.runtime.sources.play import PlayClock, Speed

USUAL_FPS = 30.0  # for a file that does not tell
# More threads cost no more CPU a picture (8.1 ms for 1280x720 with 1, 2 or 4), but OpenCV would take every core.
DECODE_THREADS: dict[Speed, int] = {"real": 2, "max": 4}


class VideoFile:
    """Gives every picture at the file's own time. Nothing is lost: a slow reader slows the playing down."""

    live = False

    def __init__(self, input_name: str, path: Path, play: PlayClock) -> None:
        self.name, self.input = "camera", input_name
        self._path = path
        self._play, self._seat = play, play.seat(leads=True)
        self._video: cv2.VideoCapture | None = None
        self._frames, self._fps = FramePool(), USUAL_FPS
        self._media_ns, self._unstamped = -1, 0

    def open(self) -> Opened:
        threads = min(DECODE_THREADS[self._play.speed], os.cpu_count() or 1)
        video = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        width, height = (round(video.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if not video.isOpened() or width <= 0 or height <= 0:
            raise InputError("no pictures can be read from it", asked=f"playing {self._path}", todo="Try: ffprobe FILE")
        fps = video.get(cv2.CAP_PROP_FPS)
        self._fps = fps if 0 < fps < 1000 else USUAL_FPS
        self._video, self._frames = video, FramePool(height, width)
        self._media_ns, self._unstamped = -1, 0
        self._play.open(self._seat)
        count = video.get(cv2.CAP_PROP_FRAME_COUNT)
        length = f", {count / self._fps:.1f} s" if count > 0 else ""
        return Opened(
            f"{self._path.name}, {width}x{height} at {self._fps:.4g} fps{length}", period_ns=round(NS_PER_S / self._fps)
        )

    def read(self) -> Capture | None:
        if self._video is None or not self._video.grab():
            self._play.leave(self._seat)
            return None
        media_ns = self._stamp()
        picture = self._frames.retrieve(self._video)
        if picture is None:
            self._play.leave(self._seat)
            return None
        shift_ns = self._play.wait(self._seat, media_ns)
        return None if shift_ns is None else Capture(self._play.stamp_ns(media_ns), picture, shift_ns)

    def _stamp(self) -> int:
        """The file's own time of the grabbed picture, or a period after the last where that does not advance."""
        media_ns = ms_to_ns(self._video.get(cv2.CAP_PROP_POS_MSEC)) if self._video is not None else 0
        if media_ns <= self._media_ns:
            media_ns = self._media_ns + round(NS_PER_S / self._fps)
            self._unstamped += 1
        self._media_ns = media_ns
        return media_ns

    def interrupt(self) -> None:
        self._play.leave(self._seat)

    def figures(self) -> Mapping[str, float]:
        return {"unstamped": self._unstamped, **self._frames.figures()}

    def close(self) -> None:
        self._play.leave(self._seat)
        if self._video is not None:
            self._video.release()
            self._video = None
