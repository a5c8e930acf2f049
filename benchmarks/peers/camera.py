"""The camera that drives every peer: ready frames at a rate, which a late reader loses as a driver loses them."""

from __future__ import annotations

import threading
import time
from typing import Any

NS_PER_S = 1_000_000_000
DRIVER_KEEPS = 4  # frames that a driver holds for a reader who is late, as V4L2 does with OpenCV


class Camera:
    """It begins with the first frame that is asked for, as one that is opened then."""

    def __init__(self, pictures: list[Any], fps: float, seconds: float) -> None:
        self._pictures, self._period_ns, self._length_ns = pictures, round(NS_PER_S / fps), round(seconds * NS_PER_S)
        self.fps, self.size = fps, pictures[0].shape[:2]
        self.ended = threading.Event()
        self._start_ns = 0
        self._held: list[int] = []
        self._seen = 0

    def read(self) -> tuple[int, Any] | None:
        """The stamp of the capture and a picture of the reader's own, as decoding makes one; None at the end."""
        grabbed = self.grab()
        return None if grabbed is None else (grabbed[0], grabbed[1].copy())

    def grab(self) -> tuple[int, Any] | None:
        """The same, but the picture is the camera's: for who copies it anyway, or may not want it."""
        self._start_ns = self._start_ns or time.monotonic_ns() + self._period_ns
        while True:
            now_ns = time.monotonic_ns()
            if now_ns >= self._start_ns + self._length_ns:
                self.ended.set()
                return None
            there = max(0, (now_ns - self._start_ns) // self._period_ns + 1)
            while self._seen < there:
                if len(self._held) < DRIVER_KEEPS:  # a driver without a free buffer loses the frame
                    self._held.append(self._seen)
                self._seen += 1
            if self._held:
                number = self._held.pop(0)
                return self._start_ns + number * self._period_ns, self._pictures[number % len(self._pictures)]
            time.sleep(max(0, self._start_ns + self._seen * self._period_ns - time.monotonic_ns()) / NS_PER_S)
