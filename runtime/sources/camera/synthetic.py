"""A synthetic camera without a device: a ball, a box and a bar with deterministic motion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mm_edge.errors import UsageError
from mm_edge.runtime.clock import NS_PER_S, ms_to_ns
from mm_edge.runtime.source import Capture, Opened
from mm_edge.runtime.sources.ticker import Ticker

from .frames import Frame, FramePool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.config import CameraConfig

MOST_PIXELS = 7680 * 4320
RED, GREEN, BLUE = (40, 40, 220), (60, 180, 60), (210, 120, 40)  # in BGR


class SyntheticCamera:
    """Image k is due at start + k periods. A late reader misses images, as with a real camera."""

    live = True

    def __init__(self, input_name: str, config: CameraConfig, ticker: Ticker | None = None) -> None:
        self.name, self.input = "camera", input_name
        self._width, self._height = config.width or 1280, config.height or 720
        if self._width * self._height > MOST_PIXELS:
            raise UsageError(
                f"{self._width}x{self._height} has more than {MOST_PIXELS:,} pixels",
                action="opening the synthetic camera",
                hint="Set a smaller sources.camera.width and height; a run keeps about ten images in memory",
            )
        self._fps = config.fps or 30.0
        self._offset_ns = ms_to_ns(config.offset_ms)
        self._ticker = ticker or Ticker()
        self._background, self._frames = np.empty(0, np.uint8), FramePool()
        self._start_ns = self._count = self._skipped = 0

    def open(self) -> Opened:
        self._ticker.reset()
        self._frames = FramePool(self._height, self._width)
        self._background = _background(self._height, self._width)
        self._start_ns, self._count, self._skipped = self._ticker.now_ns(), 0, 0
        detail = f"synthetic camera, {self._width}x{self._height} at {self._fps:g} fps"
        return Opened(detail, period_ns=round(NS_PER_S / self._fps))

    def read(self) -> Capture | None:
        late = int((self._ticker.now_ns() - self._start_ns) * self._fps / NS_PER_S)
        if late > self._count:
            self._skipped += late - self._count
            self._count = late
        t_ns = self._start_ns + round(self._count * NS_PER_S / self._fps)
        if not self._ticker.until(t_ns):
            return None
        frame = self._frames.take()
        self.draw(self._count, frame)
        self._count += 1
        return Capture(t_ns + self._offset_ns, frame)

    def draw(self, number: int, frame: Frame) -> None:
        """Draws image `number` into `frame`. It depends only on the number."""
        cv2.cvtColor(self._background, cv2.COLOR_GRAY2BGR, dst=frame)
        height, width = frame.shape[:2]
        seconds, side = number / self._fps, min(height, width)
        turn = 2 * math.pi * seconds
        ball = (round(width * (0.5 + 0.3 * math.cos(turn / 4))), round(height * (0.5 + 0.3 * math.sin(turn / 3))))
        cv2.circle(frame, ball, side // 10, RED, cv2.FILLED)
        left = round((width - side // 5) * (0.5 + 0.5 * math.sin(turn / 5)))
        cv2.rectangle(frame, (left, side // 8), (left + side // 5, side // 8 + side // 5), BLUE, cv2.FILLED)
        bar = round(width * ((seconds / 2) % 1.0))
        cv2.rectangle(frame, (0, height - side // 16), (bar, height), GREEN, cv2.FILLED)

    def interrupt(self) -> None:
        self._ticker.interrupt()

    def figures(self) -> Mapping[str, float]:
        return {"skipped": self._skipped, **self._frames.figures()}

    def close(self) -> None:
        self._background = np.empty(0, np.uint8)


def _background(height: int, width: int) -> NDArray[np.uint8]:
    """A soft grey gradient, so that no two regions are alike: [height, width]."""
    down = np.linspace(90, 160, height, dtype=np.float32)[:, None]
    right = np.linspace(-30, 30, width, dtype=np.float32)[None, :]
    return (down + right).astype(np.uint8)
