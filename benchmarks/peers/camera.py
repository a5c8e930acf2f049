"""The simulated camera of every peer: frames in memory at a fixed rate; a late reader loses frames as with a driver."""

from __future__ import annotations

import threading
import time
from typing import Any

NS_PER_S = 1_000_000_000
DRIVER_BUFFERS = 4  # frames that a driver buffers for a late reader, as V4L2 does with OpenCV


class Camera:
    """Starts with the first request, like a camera that is opened then."""

    def __init__(self, pictures: list[Any], fps: float, seconds: float) -> None:
        self._pictures, self._period_ns, self._length_ns = pictures, round(NS_PER_S / fps), round(seconds * NS_PER_S)
        self.fps, self.size = fps, pictures[0].shape[:2]
        self.ended = threading.Event()
        self._start_ns = 0
        self._buffered: list[int] = []
        self._seen = 0

    def read(self) -> tuple[int, Any] | None:
        """The capture time and a picture that the reader owns, as after decoding; None at the end."""
        grabbed = self.grab()
        return None if grabbed is None else (grabbed[0], grabbed[1].copy())

    def grab(self) -> tuple[int, Any] | None:
        """The same without a copy, for readers that copy the picture themselves or skip it."""
        self._start_ns = self._start_ns or time.monotonic_ns() + self._period_ns
        while True:
            now_ns = time.monotonic_ns()
            if now_ns >= self._start_ns + self._length_ns:
                self.ended.set()
                return None
            captured = max(0, (now_ns - self._start_ns) // self._period_ns + 1)
            while self._seen < captured:
                if len(self._buffered) < DRIVER_BUFFERS:  # a driver without a free buffer drops the frame
                    self._buffered.append(self._seen)
                self._seen += 1
            if self._buffered:
                number = self._buffered.pop(0)
                return self._start_ns + number * self._period_ns, self._pictures[number % len(self._pictures)]
            time.sleep(max(0, self._start_ns + self._seen * self._period_ns - time.monotonic_ns()) / NS_PER_S)
