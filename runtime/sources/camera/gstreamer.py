"""A camera read through a GStreamer pipeline, such as a Jetson's CSI camera. Needs an OpenCV built with GStreamer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cv2

from mm_edge.errors import DeviceError
from mm_edge.redact import redact

from .stream import StreamCamera

if TYPE_CHECKING:
    from mm_edge.config import CameraConfig

# Keeps only the newest image and delivers it at once: an image that waits in a pipeline is old when it is read.
SINK = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def gstreamer_camera(input_name: str, pipeline: str, config: CameraConfig) -> StreamCamera:
    """`pipeline` as for gst-launch-1.0; an appsink is appended if it has none."""
    whole = pipeline if "appsink" in pipeline else f"{pipeline} ! {SINK}"
    shown = redact(f"gst:{pipeline}")
    return StreamCamera(input_name, shown, functools.partial(start, whole), offset_ms=config.offset_ms)


def jetson_camera(input_name: str, number: int, config: CameraConfig) -> StreamCamera:
    """The CSI camera `number`. Its timestamps are not used: they come from another clock, about 29 s off."""
    width, height, fps = config.width or 1280, config.height or 720, config.fps or 30
    source = (
        f"nvarguscamerasrc sensor-id={number}"
        f" ! video/x-raw(memory:NVMM),width={width},height={height},framerate={round(fps * 1000)}/1000"
        " ! nvvidconv ! video/x-raw,format=BGRx"
    )
    return gstreamer_camera(input_name, source, config)


def start(pipeline: str) -> cv2.VideoCapture:
    action = f"opening the pipeline {pipeline}"
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise DeviceError(
            "this OpenCV was built without GStreamer, like every OpenCV from pip",
            action=action,
            hint="Use the system's OpenCV (on Jetson it includes GStreamer): python3 -m venv --system-site-packages",
        )
    video = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not video.isOpened():
        raise DeviceError(
            "the pipeline does not start", action=action, hint="Test it: gst-launch-1.0 PIPELINE ! fakesink"
        )
    return video
