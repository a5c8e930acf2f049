"""Frames for benchmarks: a deterministic test video, and a simulated camera with frames in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mm_edge.runtime.source import Capture, Opened

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT = 1280, 720
POOL = 60  # different pictures in a video
NS_PER_S = 1_000_000_000


def frames(count: int) -> list[NDArray[np.uint8]]:
    """720p pictures with shapes that move over a textured background."""
    generator = np.random.default_rng(0)
    background = cv2.resize(
        generator.integers(60, 190, (HEIGHT // 16, WIDTH // 16, 3), np.uint8),
        (WIDTH, HEIGHT),
        interpolation=cv2.INTER_CUBIC,
    )
    made = []
    for k in range(count):
        frame = background.copy()
        cv2.circle(
            frame,
            (int(WIDTH * (0.5 + 0.4 * np.cos(k / 17))), int(HEIGHT * (0.5 + 0.4 * np.sin(k / 13)))),
            90,
            (40, 40, 220),
            cv2.FILLED,
        )
        cv2.rectangle(frame, (k * 7 % WIDTH, 80), (k * 7 % WIDTH + 160, 240), (210, 120, 40), cv2.FILLED)
        made.append(frame)
    return made


def square(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The square middle of a frame."""
    edge = (WIDTH - HEIGHT) // 2
    return frame[:, edge : edge + HEIGHT]


def video(path: Path, count: int, fps: float = 30.0, *, cut_square: bool = False) -> Path:
    """The frames as an MPEG-4 file, which every build of OpenCV can write and read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"partial-{path.name}")
        size = (HEIGHT if cut_square else WIDTH, HEIGHT)
        writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
        pool = [square(frame) if cut_square else frame for frame in frames(POOL)]
        for k in range(count):
            writer.write(pool[k % len(pool)])
        writer.release()
        partial.replace(path)
    return path


class ReadyCamera:
    """A simulated live camera with frames in memory, so that only the loop is measured. A frame is stamped when it is
    read.

    A late reader misses frames, as with a real camera; `count` 0 never ends.
    """

    name, live = "camera", True

    def __init__(self, input_name: str, pictures: list[Any], fps: float, count: int = 0) -> None:
        self.input = input_name
        self._pictures, self._period_ns, self._count = pictures, round(NS_PER_S / fps), count
        self._next = 0
        self._start_ns = 0
        self._ended = False

    def open(self) -> Opened:
        self._start_ns = time.monotonic_ns() + self._period_ns
        return Opened("frames in memory", self._period_ns)

    def read(self) -> Capture | None:
        self._next = max(self._next, (time.monotonic_ns() - self._start_ns) // self._period_ns)
        if self._ended or (self._count and self._next >= self._count):
            return None
        wait_ns = self._start_ns + self._next * self._period_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / NS_PER_S)
        picture = self._pictures[self._next % len(self._pictures)]
        self._next += 1
        return Capture(time.monotonic_ns(), picture)

    def interrupt(self) -> None:
        self._ended = True

    def figures(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        """There is nothing to release."""


class ReadyFile(ReadyCamera):
    """A simulated file with frames in memory: the next frame is always available."""

    name, live = "file", False

    def __init__(self, input_name: str, pictures: list[Any]) -> None:
        super().__init__(input_name, pictures, fps=1.0)

    def read(self) -> Capture | None:
        if self._ended:
            return None
        self._next += 1
        return Capture(time.monotonic_ns(), self._pictures[self._next % len(self._pictures)])
