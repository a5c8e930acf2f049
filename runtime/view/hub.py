"""Distributes the newest frame and state to all viewers. Everything runs in the server's event loop.

Viewers never get old frames: each is sent the newest one, and only while fewer than two are in flight to it. A frame is
encoded once for all viewers, and only when one is ready for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .frame import Frame, make_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from mm_edge.sample import Prediction

MOST_IN_FLIGHT = 2
LEAST_PERIOD_S = 1 / 45  # between two frames, at any prediction rate
STATE_PERIOD_S = 0.25


class Viewer:
    """One viewer. `in_flight` frames were sent and not yet drawn."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.news = asyncio.Event()
        self._frame_number = -1
        self._state: bytes | None = None

    @property
    def ready(self) -> bool:
        return self.in_flight < MOST_IN_FLIGHT

    def next_frame(self, frame: Frame | None) -> Frame | None:
        """The frame, if it is new to this viewer and the viewer is ready for it."""
        if frame is None or frame.number <= self._frame_number or not self.ready:
            return None
        self._frame_number = frame.number
        self.in_flight += 1
        return frame

    def next_state(self, state: bytes | None) -> bytes | None:
        if state is None or state is self._state:
            return None
        self._state = state
        return state


class Hub:
    """`state` returns the run's state as JSON; `executor` encodes frames outside the event loop."""

    def __init__(self, state: Callable[[], bytes], executor: Executor) -> None:
        self.viewers: set[Viewer] = set()
        self.frame: Frame | None = None
        self.state: bytes | None = None
        self.rates: Mapping[str, int] = {}
        self._make_state, self._executor = state, executor
        self._newest: Prediction | None = None
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
            self.frame = self.state = None  # the next viewer starts with new data

    def drawn(self, viewer: Viewer) -> None:
        viewer.in_flight = max(0, viewer.in_flight - 1)
        viewer.news.set()
        self._work.set()

    def offer(self, prediction: Prediction) -> None:
        self._newest = prediction
        self._work.set()

    def refresh_state(self) -> None:
        self.state = self._make_state()
        for viewer in self.viewers:
            viewer.news.set()

    # --- background tasks ------------------------------------------------------------------------------------

    async def make_frames(self) -> None:
        loop = asyncio.get_running_loop()
        number, made = 0, None
        while True:
            await self._work.wait()
            self._work.clear()
            prediction = self._newest
            if prediction is None or prediction is made or not any(viewer.ready for viewer in self.viewers):
                continue
            began_s = loop.time()
            frame = await loop.run_in_executor(self._executor, make_frame, number, prediction, self.rates)
            made, number = prediction, number + 1
            if self.viewers:
                self.frame = frame
            for viewer in self.viewers:
                viewer.news.set()
            await asyncio.sleep(max(0.0, LEAST_PERIOD_S - (loop.time() - began_s)))

    async def make_states(self) -> None:
        while True:
            await self._watched.wait()
            self.refresh_state()
            await asyncio.sleep(STATE_PERIOD_S)
