"""A live image stream without usable timestamps of its own: a network camera, a pipeline."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cv2

from mm_edge.errors import DeviceError, SourceLostError
from mm_edge.runtime.clock import NS_PER_S, MonotonicClock, ms_to_ns
from mm_edge.runtime.source import Capture, Opened

from .frames import FramePool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.runtime.clock import Clock

MOST_FPS = 240  # streams of unknown rate report 1,000 or 90,000
USUAL_FPS = 30.0
CATCH_UP_WITHIN_NS = NS_PER_S


class StreamCamera:
    """Reads the capture that `start` opens and stamps images at arrival. `shown` names the stream in messages.

    It must be read continuously, since unread images queue up and arrive late: the loop drops decoded images, never
    packets. `offset_ms` compensates the usual delay of network and decoder. `patience_ms`: an image after a longer gap
    was delayed in the decoder and is not new.
    """

    live = True

    def __init__(
        self,
        input_name: str,
        shown: str,
        start: Callable[[], cv2.VideoCapture],
        *,
        offset_ms: float = 0.0,
        patience_ms: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name, self.input = "camera", input_name
        self._shown, self._start = shown, start
        self._offset_ns = ms_to_ns(offset_ms)
        self._patience_ns = None if patience_ms is None else ms_to_ns(patience_ms)
        self._clock: Clock = clock or MonotonicClock()
        self._interrupted = threading.Event()
        self._video: cv2.VideoCapture | None = None
        self._frames = FramePool()  # takes the size of the first image

    def open(self) -> Opened:
        self._interrupted.clear()
        video = self._video = self._start()
        fps = video.get(cv2.CAP_PROP_FPS)
        rate = f" at {fps:.4g} fps" if 0 < fps <= MOST_FPS else ""
        if self._patience_ns is not None:
            self._catch_up(video, round(NS_PER_S / (fps if rate else USUAL_FPS)))
        size = f"{video.get(cv2.CAP_PROP_FRAME_WIDTH):.0f}x{video.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}"
        period_ns = round(NS_PER_S / fps) if rate else None
        return Opened(f"{self._shown}, {size}{rate}, stamped at arrival", period_ns=period_ns)

    def read(self) -> Capture | None:
        if self._interrupted.is_set() or self._video is None:
            return None
        began_ns = self._clock.now_ns()
        grabbed = self._video.grab()
        now_ns = self._clock.now_ns()
        t_ns = now_ns + self._offset_ns
        if self._patience_ns is not None and now_ns - began_ns >= self._patience_ns:
            grabbed = False
        picture = self._frames.retrieve(self._video) if grabbed else None
        if self._interrupted.is_set():
            return None
        if picture is None:
            raise SourceLostError("the stream ended", action=f"reading the camera {self._shown}")
        return Capture(t_ns, picture)

    def _catch_up(self, video: cv2.VideoCapture, period_ns: int) -> None:
        """Discards images that queued up while the stream was opened, until a read has to wait."""
        until_ns = self._clock.now_ns() + CATCH_UP_WITHIN_NS
        waited_ns = 0
        while waited_ns < period_ns // 2 and self._clock.now_ns() < until_ns and not self._interrupted.is_set():
            began_ns = self._clock.now_ns()
            if not video.grab():
                raise DeviceError("the stream ended while it was opened", action=f"opening the camera {self._shown}")
            waited_ns = self._clock.now_ns() - began_ns

    def interrupt(self) -> None:
        """A read that waits for a frozen server ends at its timeout, not before."""
        self._interrupted.set()

    def figures(self) -> Mapping[str, float]:
        return self._frames.figures()

    def close(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.release()
