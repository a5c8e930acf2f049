"""Distributes the newest frame and state to all viewers. Everything runs in the server's event loop.

Viewers never get old frames: each is sent the newest one, and only while fewer than two are in flight to it. A frame is
encoded once for all viewers, and only when one is ready for it. Several cameras take turns, in what is encoded and in
what is sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .frame import MOST_WIDTH, TILE_WIDTH, Frame, make_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from mm_edge.sample import Prediction

MOST_IN_FLIGHT = 2
LEAST_PERIOD_S = 1 / 45  # between two frames, at any prediction rate
STATE_PERIOD_S = 0.25


class Viewer:
    """One viewer. `in_flight` frames were sent and not yet drawn. Of several cameras it sees all, `large` at full size;
    or with `alone` only that one.
    """

    def __init__(self, large: str | None = None, *, alone: bool = False) -> None:
        self.in_flight = 0
        self.news = asyncio.Event()
        self.large, self._alone = large, alone
        self._numbers: dict[str | None, int] = {}  # of the newest frame sent, by camera
        self._state: bytes | None = None

    @property
    def ready(self) -> bool:
        return self.in_flight < MOST_IN_FLIGHT

    def sees(self, camera: str | None) -> bool:
        return not self._alone or camera == self.large

    def next_frame(self, frames: Mapping[str | None, Frame]) -> Frame | None:
        """The frame that is new to this viewer, if the viewer is ready for it; of several cameras' the oldest."""
        if not self.ready:
            return None
        new = [
            (frame.number, camera)
            for camera, frame in frames.items()
            if frame.number > self._numbers.get(camera, -1) and self.sees(camera)
        ]
        if not new:
            return None
        number, camera = min(new)
        self._numbers[camera] = number
        self.in_flight += 1
        return frames[camera]

    def next_state(self, state: bytes | None) -> bytes | None:
        if state is None or state is self._state:
            return None
        self._state = state
        return state


class Hub:
    """`state` returns the run's state as JSON; `executor` encodes frames outside the event loop."""

    def __init__(self, state: Callable[[], bytes], executor: Executor) -> None:
        self.viewers: set[Viewer] = set()
        self.frames: dict[str | None, Frame] = {}  # the newest, by camera; by None if there is only one
        self.state: bytes | None = None
        self.rates: Mapping[str, int] = {}
        self.cameras: tuple[str, ...] = ()  # if there are several
        self._make_state, self._executor = state, executor
        self._newest: dict[str | None, Prediction] = {}  # those without a frame, by camera: its longest wait first
        self._work = asyncio.Event()  # a new prediction, or a viewer became ready
        self._watched = asyncio.Event()

    # --- called by the server --------------------------------------------------------------------------------

    def enter(self, viewer: Viewer) -> None:
        self.viewers.add(viewer)
        self._watched.set()
        self._work.set()

    def leave(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        if not self.viewers:
            self._watched.clear()
            self.frames, self.state = {}, None  # the next viewer starts with new data
            self._newest.clear()

    def drawn(self, viewer: Viewer) -> None:
        viewer.in_flight = max(0, viewer.in_flight - 1)
        viewer.news.set()
        self._work.set()

    def offer(self, prediction: Prediction) -> None:
        self._newest[prediction.camera] = prediction
        self._work.set()

    def watch(self, viewer: Viewer, camera: str) -> None:
        if camera in self.cameras:
            viewer.large = camera

    def refresh_state(self) -> None:
        self.state = self._make_state()
        for viewer in self.viewers:
            viewer.news.set()

    # --- background tasks ------------------------------------------------------------------------------------

    async def make_frames(self) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        while True:
            await self._work.wait()
            self._work.clear()
            prediction = self._next()
            if prediction is None:
                continue
            began_s, camera = loop.time(), prediction.camera
            del self._newest[camera]
            width = MOST_WIDTH if camera is None or self._is_large(camera) else TILE_WIDTH
            frame = await loop.run_in_executor(self._executor, make_frame, number, prediction, self.rates, width)
            number += 1
            if self.viewers:
                self.frames[camera] = frame
            for viewer in self.viewers:
                viewer.news.set()
            if self._newest:
                self._work.set()
            await asyncio.sleep(max(0.0, LEAST_PERIOD_S - (loop.time() - began_s)))

    def _next(self) -> Prediction | None:
        """The one that waits longest for its frame, of the cameras that a ready viewer sees."""
        for camera, prediction in self._newest.items():
            if any(viewer.ready and viewer.sees(camera) for viewer in self.viewers):
                return prediction
        return None

    def _is_large(self, camera: str) -> bool:
        return any(viewer.large == camera for viewer in self.viewers)

    async def make_states(self) -> None:
        while True:
            await self._watched.wait()
            self.refresh_state()
            await asyncio.sleep(STATE_PERIOD_S)
