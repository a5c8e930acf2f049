"""The shared clock of played streams: files and takes play at their own pace, in the order of their timestamps."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from mm_edge.runtime.clock import NS_PER_S, MonotonicClock

if TYPE_CHECKING:
    from mm_edge.runtime.clock import Clock

Speed: TypeAlias = Literal["real", "max"]
PATIENCE_S = 10.0  # timeout for a blocked stream: playing out of order is better than hanging
log = logging.getLogger(__name__)


class Seat(Struct, eq=False):
    """One stream registered at a PlayClock; only the clock writes to it."""

    leads: bool
    state: Literal["expected", "busy", "waiting", "overtaken", "left"] = "expected"
    due_ns: int = 0  # of what it waits for


class PlayClock:
    """Media time for all streams of a take: 0 is when the last of them was opened.

    Captures are delivered in the order of their media time regardless of thread timing, so a replay is deterministic;
    at equal times a leading stream (images) comes last, after the audio and text that belong to it. A blocked stream
    blocks the others: nothing is lost and nothing runs ahead. At speed `max` the clock jumps from capture to capture.
    `pause`, `resume` and `step` may be called from any thread; everything else is for sources.
    """

    def __init__(self, speed: Speed = "real", clock: Clock | None = None) -> None:
        self.speed = speed
        self.paused = False
        self._clock: Clock = clock or MonotonicClock()
        self._changed = threading.Condition()
        self._seats: list[Seat] = []
        self._origin_ns: int | None = None  # of media time 0
        self._media_ns = self._since_ns = 0  # the position, and when it was taken
        self._steps = 0

    @property
    def position_ns(self) -> int:
        """The media time now."""
        with self._changed:
            return self._position_ns()

    def pause(self) -> None:
        with self._changed:
            self._media_ns, self.paused, self._steps = self._position_ns(), True, 0
            self._changed.notify_all()

    def resume(self) -> None:
        with self._changed:
            self._since_ns, self.paused = self._clock.now_ns(), False
            self._changed.notify_all()

    def step(self) -> None:
        """While paused: advances to the next image, or to the next capture if no images are played."""
        with self._changed:
            self._steps += self.paused
            self._changed.notify_all()

    def seat(self, *, leads: bool = False) -> Seat:
        """Registers a source when it is created: the clock starts once every seat has been opened or left."""
        with self._changed:
            self._seats.append(Seat(leads))
            return self._seats[-1]

    def open(self, seat: Seat) -> None:
        """The first to reopen after all have left rewinds the clock."""
        with self._changed:
            # Here, not when the last one leaves: an interrupted stream may still be about to wait.
            if all(other.state == "left" for other in self._seats):
                for other in self._seats:
                    other.state = "expected"
                self._origin_ns, self._media_ns = None, 0
            seat.state = "busy"
            self._start_if_complete()

    def leave(self, seat: Seat) -> None:
        """The stream ended or was interrupted; the others no longer wait for it."""
        with self._changed:
            seat.state = "left"
            self._start_if_complete()

    def stamp_ns(self, media_ns: int) -> int:
        """The timestamp of media time `media_ns`. Valid after the first wait."""
        return (self._origin_ns or 0) + media_ns

    def wait(self, seat: Seat, due_ns: int) -> int | None:
        """Returns when media time is `due_ns` and no other stream has anything earlier: how far real time is past it.

        None: the seat was left in the meantime.
        """
        with self._changed:
            if seat.state != "left":
                seat.state, seat.due_ns = "waiting", due_ns
            self._changed.notify_all()
            while self._waits(seat):
                left_ns = due_ns - self._position_ns()
                if self._origin_ns is None or (self.paused and left_ns > 0 and not self._takes_step(seat)):
                    self._sleep(None)
                elif left_ns > 0 and self.speed == "real" and not self.paused:
                    self._sleep(left_ns / NS_PER_S)
                elif not (ahead := self._ahead_of(seat)):
                    return self._release(seat)
                elif not self._sleep(PATIENCE_S):
                    self._overtake(ahead)
            return None

    def _position_ns(self) -> int:
        if self._origin_ns is None or self.paused or self.speed == "max":
            return self._media_ns
        return self._media_ns + self._clock.now_ns() - self._since_ns

    def _waits(self, seat: Seat) -> bool:
        return seat.state == "waiting"

    def _takes_step(self, seat: Seat) -> bool:
        if self._steps == 0 or (not seat.leads and any(other.leads and other.state != "left" for other in self._seats)):
            return False
        self._steps -= 1
        self._media_ns = seat.due_ns
        self._changed.notify_all()
        return True

    def _ahead_of(self, seat: Seat) -> list[Seat]:
        """Streams that have something earlier, are delivering it, or may still deliver it."""
        mine = (seat.due_ns, seat.leads)
        return [
            other
            for other in self._seats
            if (other.state == "waiting" and (other.due_ns, other.leads) < mine) or other.state == "busy"
        ]

    def _overtake(self, ahead: list[Seat]) -> None:
        """They are considered again once they return."""
        for seat in ahead:
            if seat.state == "busy":
                log.warning(
                    "a played stream has been blocked for more than %g s; the others continue without it", PATIENCE_S
                )
                seat.state = "overtaken"

    def _release(self, seat: Seat) -> int:
        seat.state = "busy"
        if self.speed == "max":
            self._media_ns = max(self._media_ns, seat.due_ns)
        self._changed.notify_all()
        return self._clock.now_ns() - self.stamp_ns(seat.due_ns)

    def _start_if_complete(self) -> None:
        """Starts the clock once all streams are present."""
        if self._origin_ns is None and all(seat.state != "expected" for seat in self._seats):
            self._origin_ns = self._since_ns = self._clock.now_ns()
        self._changed.notify_all()

    def _sleep(self, seconds: float | None) -> bool:
        """True when something may have changed. Tests move a manual clock here instead."""
        return self._changed.wait(seconds)
