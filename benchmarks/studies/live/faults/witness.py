"""The sink of a chaos run that records when each state was reported, and what each prediction was made from."""

from __future__ import annotations

import threading
import time
from typing import Any

from msgspec import Struct

from mm_edge.runtime.sinks.null import NullSink
from mm_edge.sample import Event, Prediction

NS_PER_MS = 1_000_000
NEVER_MS = -1.0
PATIENCE_S = 5.0  # past the limit, to record how late a report was


class Seen(Struct, frozen=True):
    """A prediction: the time of its tick, the state of its audio, and its health."""

    t_ns: int
    audio: str
    health: str


class Report(Struct, frozen=True):
    """How long after its cause a state was reported, and the limit. `ms` -1: never."""

    what: str
    ms: float
    limit_ms: float

    @property
    def in_time(self) -> bool:
        return self.ms != NEVER_MS and self.ms <= self.limit_ms


class Witness(NullSink):
    """Other threads wait in `report_of` until it has taken an event."""

    name = "witness"

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._events: list[tuple[int, str, str]] = []
        self._changed = threading.Condition()

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            audio = item.inputs.get("audio")
            with self._changed:
                self.seen.append(Seen(item.t_ns, audio.state if audio else "missing", item.health))
                self._changed.notify_all()
        elif isinstance(item, Event):
            with self._changed:
                self._events.append((time.monotonic_ns(), item.source, item.state))
                self._changed.notify_all()

    def report_of(self, source: str, state: str, since_ns: int, limit_s: float) -> Report:
        """Waits for the first such event after `since_ns`."""
        what, limit_ms = f"{source}: {state}", limit_s * 1000
        until_s = time.monotonic() + limit_s + PATIENCE_S
        with self._changed:
            while (at_ns := self._first(source, state, since_ns)) is None:
                if not self._changed.wait(max(0.0, until_s - time.monotonic())) and time.monotonic() >= until_s:
                    return Report(what, NEVER_MS, limit_ms)
        return Report(what, round((at_ns - since_ns) / NS_PER_MS, 1), limit_ms)

    def predicts(self, within_s: float) -> bool:
        """Whether another prediction arrives."""
        with self._changed:
            before = len(self.seen)
            return self._changed.wait_for(lambda: len(self.seen) > before, within_s)

    def between(self, from_ns: int, to_ns: int) -> list[Seen]:
        """The predictions whose ticks are in this time."""
        return [seen for seen in self.seen if from_ns < seen.t_ns < to_ns]

    def _first(self, source: str, state: str, since_ns: int) -> int | None:
        found = (at_ns for at_ns, *event in self._events if at_ns >= since_ns and event == [source, state])
        return next(found, None)
