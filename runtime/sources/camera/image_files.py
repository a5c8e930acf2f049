"""Numbered image files, or a folder of them, played as a camera."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from mm_edge.bounded_read import read_bounded
from mm_edge.errors import InputError, UsageError
from mm_edge.runtime.clock import NS_PER_S
from mm_edge.runtime.source import Capture, Opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mm_edge.runtime.sources.play import PlayClock

USUAL_FPS = 30.0
MOST_IMAGE_BYTES = 1 << 30
JPEG, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"  # markers; compressed data contains none of them
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class ImageFiles:
    """Plays image after image at `fps`. `path`: an image, a folder, or a pattern like images/%05d.jpg."""

    live = False

    def __init__(self, input_name: str, path: Path, fps: float | None, play: PlayClock) -> None:
        self.name, self.input = "camera", input_name
        self._path, self._fps = path, fps or USUAL_FPS
        self._play, self._seat = play, play.seat(leads=True)
        self._files: list[Path] = []
        self._next = 0

    def open(self) -> Opened:
        self._files, self._next = pictures_at(self._path), 0
        self._play.open(self._seat)
        detail = f"{self._path}, {len(self._files)} images at {self._fps:g} fps"
        return Opened(detail, period_ns=round(NS_PER_S / self._fps))

    def read(self) -> Capture | None:
        if self._next == len(self._files):
            self._play.leave(self._seat)
            return None
        file, media_ns = self._files[self._next], round(self._next * NS_PER_S / self._fps)
        picture = _picture_of(file)
        if picture is None:
            raise InputError(
                f"image {self._next + 1} of {len(self._files)} is not a readable image",
                action=f"playing {file}",
                hint="Remove or replace it",
            )
        shift_ns = self._play.wait(self._seat, media_ns)
        if shift_ns is None:
            return None
        self._next += 1
        return Capture(self._play.stamp_ns(media_ns), picture, shift_ns)

    def interrupt(self) -> None:
        self._play.leave(self._seat)

    def figures(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        self._play.leave(self._seat)


def _picture_of(file: Path) -> NDArray[np.uint8] | None:
    """None if it is not a whole image; a pipe or a device is none, and is not waited for."""
    try:
        content = read_bounded(file, MOST_IMAGE_BYTES) if file.is_file() else b""
        if not content or _is_cut_off(content):
            return None
        return cast("NDArray[np.uint8] | None", cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))
    except (OSError, cv2.error):  # cv2: its limit of pixels
        return None


def _is_cut_off(content: bytes) -> bool:
    """A JPEG file without an end of image after its last start of a scan. The decoder fills up the rest with grey."""
    return content.startswith(JPEG) and content.rfind(JPEG_END) < content.rfind(JPEG_SCAN)


def pictures_at(path: Path) -> list[Path]:
    """Ordered by number or, in a folder, by name."""
    number = re.compile(r"%0?\d*d")
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    elif number.search(path.name) and path.parent.is_dir():
        before, after = number.split(path.name, maxsplit=1)
        numbered = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
        matches = ((numbered.fullmatch(file.name), file) for file in path.parent.iterdir())
        found = [file for _, file in sorted((int(match[1]), file) for match, file in matches if match)]
    else:
        found = []
    if not found:
        hint = f"Give an image, a folder of images ({', '.join(sorted(SUFFIXES))}) or a pattern like images/%05d.jpg"
        raise UsageError("no image found", action=f"playing '{path}'", hint=hint)
    return found
