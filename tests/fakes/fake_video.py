"""cv2.VideoCapture as cameras make it behave: it says yes to everything, and breaks in the ways that were measured."""

import cv2
import numpy as np

from mm_edge.runtime.clock import NS_PER_MS


class FakeVideo:
    """A camera with some modes, and a script of what each grab does: `ok`, `gone`, `stall`, `broken`."""

    def __init__(self, clock, *, modes, script=(), stamp_ms=None, opened=True):
        self.clock, self.modes, self.script = clock, dict(modes), list(script)
        self.opened, self.released, self.action = opened, False, []
        self.stamp_ms = stamp_ms or (lambda: self.clock.now_ns() / NS_PER_MS - 5.0)
        self.fourcc = next(iter(self.modes))
        self.width, self.height, self.fps = self.modes[self.fourcc][0]
        self.number, self.last = 0, "ok"

    def isOpened(self):  # noqa: N802  # OpenCV's name
        return self.opened  # also when it was unplugged

    def set(self, key, value):
        self.action.append((key, value))
        if key == cv2.CAP_PROP_FOURCC:
            name = int(value).to_bytes(4, "little").decode()
            if name in self.modes:
                self.fourcc = name
                self._nearest(self.width, self.height)
        elif key == cv2.CAP_PROP_FRAME_WIDTH:
            self._nearest(value, self.height)
        elif key == cv2.CAP_PROP_FRAME_HEIGHT:
            self._nearest(self.width, value)
        return True  # whatever was asked

    def _nearest(self, width, height):
        modes = self.modes[self.fourcc]
        self.width, self.height, self.fps = min(modes, key=lambda mode: abs(mode[0] - width) + abs(mode[1] - height))

    def get(self, key):
        return {
            cv2.CAP_PROP_FRAME_WIDTH: float(self.width),
            cv2.CAP_PROP_FRAME_HEIGHT: float(self.height),
            cv2.CAP_PROP_FPS: float(self.fps),
            cv2.CAP_PROP_FOURCC: float(int.from_bytes(self.fourcc.encode(), "little")),
            cv2.CAP_PROP_POS_MSEC: self.stamp_ms() if self.last == "ok" else 0.0,
        }.get(key, 0.0)

    def grab(self):
        self.last = self.script.pop(0) if self.script else "ok"
        if self.last == "stall":
            self.clock.advance(1000 * NS_PER_MS)  # the time OpenCV was told to wait
            return False
        self.clock.advance(10 * NS_PER_MS)
        return self.last != "gone"

    def retrieve(self, into):
        if self.last == "broken":
            return False, None
        self.number += 1
        if into.shape != (self.height, self.width, 3):
            into = np.empty((self.height, self.width, 3), np.uint8)
        into[:] = self.number % 256
        return True, into

    def release(self):
        self.released = True
