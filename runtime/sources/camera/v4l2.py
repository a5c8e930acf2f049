"""A camera at a Linux device file, read through OpenCV."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

import cv2

from mm_edge.errors import SourceLostError
from mm_edge.runtime.clock import NS_PER_S, MonotonicClock, ms_to_ns, ns_to_ms
from mm_edge.runtime.source import Capture, Opened

from .frames import FramePool
from .kernel_stamps import KernelStamps
from .mode import describe_requested, fits, negotiate
from .nodes import current_path, identity_of, not_opened, refuse_unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.config import CameraConfig
    from mm_edge.runtime.clock import Clock

    from .nodes import CameraIdentity


# How long OpenCV waits for an image (default 10 s); it reads the variable once, at its first wait. With one second, a
# reader that waits for a stalled camera still reacts to an interrupt.
WAIT_VARIABLE, WAIT_S = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1"
STALL_NS = NS_PER_S // 2  # a read that fails sooner did not wait: the camera is disconnected
MOST_UNDECODED = 30  # in a row; a single broken image is tolerated
log = logging.getLogger(__name__)


class V4l2Camera:
    """Only one thread at a time may use an OpenCV capture: the thread that calls open, read and close."""

    live = True

    def __init__(self, input_name: str, path: str, config: CameraConfig, clock: Clock | None = None) -> None:
        self.name, self.input = "camera", input_name
        self._path, self._config = path, config
        self._clock: Clock = clock or MonotonicClock()
        self._offset_ns = ms_to_ns(config.offset_ms)
        self._interrupted = threading.Event()
        self._known: CameraIdentity | None = None  # set once it has been opened
        self._video: cv2.VideoCapture | None = None
        self._first: Capture | None = None
        self._delivered = False
        self._frames, self._stamps, self._undecoded = FramePool(), KernelStamps(), 0

    def open(self) -> Opened:
        self._interrupted.clear()
        self._delivered, self._undecoded = False, 0
        if self._known is not None and (found := current_path(self._path, self._known)) != self._path:
            log.warning("%s reconnected as %s", self._path, found)
            self._path = found
        refuse_unusable(self._path)
        os.environ.setdefault(WAIT_VARIABLE, WAIT_S)
        video = cv2.VideoCapture(self._path, cv2.CAP_V4L2)
        if not video.isOpened():
            raise not_opened(self._path)
        self._video = video
        self._known = identity_of(self._path)
        mode = negotiate(video, self._config)
        self._stamps, self._frames = KernelStamps(), FramePool(mode.height, mode.width)
        # A camera counts as open after its first image: only then is it known whether its timestamps are valid.
        try:
            self._first = self._capture(ms_to_ns(self._config.open_timeout_ms))
        except SourceLostError:
            self.close()
            raise not_opened(self._path) from None
        stamps = f"stamped at arrival ({self._stamps.refused})" if self._stamps.refused else "stamped by the kernel"
        requested = "" if fits(mode, self._config) else f" (requested {describe_requested(self._config)})"
        return Opened(
            f"{self._path}, {mode}{requested}, {stamps}",
            period_ns=round(NS_PER_S / mode.fps) if mode.fps else None,
            facts=(("mode", str(mode)), ("stamps", "arrival" if self._stamps.refused else "kernel")),
        )

    def read(self) -> Capture | None:
        first, self._first, self._delivered = self._first, None, True
        return first or self._capture(ms_to_ns(self._config.read_timeout_ms))

    def _capture(self, patience_ns: int) -> Capture | None:
        """The next image. Only the read decides: `isOpened` stays true after a camera is unplugged."""
        began_ns, undecoded = self._clock.now_ns(), 0
        while self._video is not None and not self._interrupted.is_set():
            before_ns = self._clock.now_ns()
            if self._video.grab():
                t_ns = self._stamp(self._clock.now_ns())
                picture = self._frames.retrieve(self._video)
                if picture is not None:
                    return Capture(t_ns + self._offset_ns, picture)
                undecoded += 1
                self._undecoded += 1
                if undecoded == MOST_UNDECODED:
                    raise self._lost(f"{undecoded} images in a row could not be decoded")
                continue
            now_ns = self._clock.now_ns()
            if now_ns - before_ns < STALL_NS:
                raise self._lost("the read failed: the camera was unplugged or its driver stopped")
            if now_ns - began_ns >= patience_ns:
                raise self._lost(f"no image for {ns_to_ms(now_ns - began_ns):.0f} ms")
        return None

    def _stamp(self, arrived_ns: int) -> int:
        trusted = not self._stamps.refused
        t_ns = self._stamps.stamp(self._video.get(cv2.CAP_PROP_POS_MSEC) if self._video else 0.0, arrived_ns)
        if trusted and self._stamps.refused and self._delivered:  # while opening, Opened reports it
            log.warning("%s: images are stamped at arrival from now on: %s", self._path, self._stamps.refused)
        return t_ns

    def _lost(self, found: str) -> SourceLostError:
        return SourceLostError(found, action=f"reading the camera {self._path}")

    def interrupt(self) -> None:
        self._interrupted.set()

    def figures(self) -> Mapping[str, float]:
        return {"undecoded": self._undecoded, **self._frames.figures()}

    def close(self) -> None:
        video, self._video, self._first = self._video, None, None
        if video is not None:
            video.release()
