"""A network camera: RTSP, or MJPEG and similar over HTTP, through OpenCV's FFmpeg."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cv2

from mm_edge.errors import DeviceError
from mm_edge.redact import redact

from .stream import StreamCamera

if TYPE_CHECKING:
    from mm_edge.config import CameraConfig


def network_camera(input_name: str, url: str, config: CameraConfig) -> StreamCamera:
    opening = functools.partial(start, url, config)
    # FFmpeg checks the timeout about every 100 ms, so a read may return slightly before it.
    patience_ms = 0.9 * config.read_timeout_ms
    return StreamCamera(input_name, redact(url), opening, offset_ms=config.offset_ms, patience_ms=patience_ms)


def start(url: str, config: CameraConfig) -> cv2.VideoCapture:
    settings = {
        # Without both, a frozen server blocks the reader for more than a minute.
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: round(config.open_timeout_ms),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: round(config.read_timeout_ms),
        cv2.CAP_PROP_N_THREADS: 1,  # each additional decoder thread delays by one image
    }
    video = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [number for setting in settings.items() for number in setting])
    if not video.isOpened():
        raise DeviceError(
            f"unreachable, or no image within {config.open_timeout_ms:g} ms",
            action=f"opening the camera {redact(url)}",
            hint="Check address, user name and password with: ffprobe URL",
        )
    return video
