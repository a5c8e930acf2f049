"""Requests size, rate and pixel format from a camera, and reads back the mode it set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
from msgspec import Struct

if TYPE_CHECKING:
    from mm_edge.config import CameraConfig

# MJPG first: over USB 2 raw 1280x720 runs at 10 fps, compressed at 30.
FORMATS = ("MJPG", "YUYV")
RATE_TOLERANCE = 0.95  # 29.97 counts as 30


class Mode(Struct, frozen=True):
    """The mode of a camera as read back from it."""

    width: int
    height: int
    fps: float  # 0: unknown
    fourcc: str

    def __str__(self) -> str:
        rate = f" at {self.fps:.4g} fps" if self.fps else ""
        return f"{self.width}x{self.height} {self.fourcc}{rate}"


def negotiate(video: cv2.VideoCapture, requested: CameraConfig) -> Mode:
    """Sets the mode nearest to the request. `set` accepts anything, so only the values read back count."""
    if not (requested.width or requested.height or requested.fps):
        return _read_back(video)
    modes: dict[str, Mode] = {}
    for fourcc in FORMATS:
        modes[fourcc] = mode = _request(video, fourcc, requested)
        if fits(mode, requested):
            return mode
    best = max(FORMATS, key=lambda fourcc: _nearness(modes[fourcc], requested))
    return modes[best] if best == FORMATS[-1] else _request(video, best, requested)


def fits(mode: Mode, requested: CameraConfig) -> bool:
    return _fits_size(mode, requested) and (requested.fps is None or mode.fps >= requested.fps * RATE_TOLERANCE)


def describe_requested(requested: CameraConfig) -> str:
    size = (
        f"{requested.width or 'any'}x{requested.height or 'any'}" if requested.width or requested.height else "any size"
    )
    return size + (f" at {requested.fps:g} fps" if requested.fps else "")


def _request(video: cv2.VideoCapture, fourcc: str, requested: CameraConfig) -> Mode:
    video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))  # before the size: it determines which sizes exist
    for key, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, requested.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, requested.height),
        (cv2.CAP_PROP_FPS, requested.fps),
    ):
        if value is not None:
            video.set(key, value)
    return _read_back(video)


def _read_back(video: cv2.VideoCapture) -> Mode:
    fps = video.get(cv2.CAP_PROP_FPS)
    code = int(video.get(cv2.CAP_PROP_FOURCC))
    fourcc = bytes(code >> shift & 0xFF for shift in (0, 8, 16, 24)).decode("ascii", "replace").strip("\0 ")
    return Mode(
        round(video.get(cv2.CAP_PROP_FRAME_WIDTH)),
        round(video.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps if 0 < fps < 1000 else 0.0,
        fourcc,
    )


def _fits_size(mode: Mode, requested: CameraConfig) -> bool:
    return requested.width in {None, mode.width} and requested.height in {None, mode.height}


def _nearness(mode: Mode, requested: CameraConfig) -> tuple[bool, float, float]:
    distance = abs(mode.width - (requested.width or mode.width)) + abs(mode.height - (requested.height or mode.height))
    return _fits_size(mode, requested), -distance, min(mode.fps, requested.fps or mode.fps)
