"""The SPECs of image sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mm_edge.runtime.sources.request import Form, Request, existing_file

if TYPE_CHECKING:
    from mm_edge.runtime.source import Source


def _device(request: Request) -> Source:
    from .v4l2 import V4l2Camera

    path = f"/dev/video{request.rest}" if request.rest.isdecimal() else request.rest
    return V4l2Camera(request.input.name, path, request.config.camera)


def _network(request: Request) -> Source:
    from .network import network_camera

    return network_camera(request.input.name, request.spec, request.config.camera)


def _jetson(request: Request) -> Source:
    from .gstreamer import jetson_camera

    return jetson_camera(request.input.name, int(request.rest), request.config.camera)


def _pipeline(request: Request) -> Source:
    from .gstreamer import gstreamer_camera

    return gstreamer_camera(request.input.name, request.rest, request.config.camera)


def _synthetic(request: Request) -> Source:
    from .synthetic import SyntheticCamera

    return SyntheticCamera(request.input.name, request.config.camera)


def _video(request: Request) -> Source:
    from .video_file import VideoFile

    return VideoFile(request.input.name, existing_file(request), request.play, request.config.camera.decoder)


def _images(request: Request) -> Source:
    from .image_files import ImageFiles, pictures_at

    path = Path(request.rest)
    pictures_at(path)  # fails here, before anything is opened
    return ImageFiles(request.input.name, path, request.config.camera.fps, request.play)


def pictures(request: Request) -> Source:
    """The images of a take: a video file or a folder."""
    return _images(request) if Path(request.rest).is_dir() else _video(request)


VIDEO = "mp4|m4v|mkv|mov|avi|webm|mpg|mpeg|ts|h264|mjpg|mjpeg"
IMAGE = "jpg|jpeg|png|bmp|webp|tif|tiff"
FORMS = (
    Form("0 (for /dev/video0)", "([0-9]{1,5})", _device),
    Form("/dev/video0", "/dev/.{1,200}", _device),
    Form("rtsp://HOST/PATH", r"rtsps?://.+", _network),
    Form("http://HOST/PATH.mjpg", r"https?://.+", _network),
    Form("csi://0", "csi://([0-9]{1,5})", _jetson),
    Form("gst:PIPELINE", r"gst:(?s:(.+))", _pipeline),
    Form("synthetic", "synthetic", _synthetic),
    Form("file.mp4", rf".+\.(?:{VIDEO})", _video),
    Form("images/%05d.jpg", rf".+\.(?:{IMAGE})", _images),
    Form("images/", r".+/", _images),
)
