"""What flows through the loop: a Sample is captured, a Moment brings samples together, a Prediction comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

State: TypeAlias = Literal["fresh", "held", "missing"]
Health: TypeAlias = Literal["starting", "live", "stale", "lost", "reconnecting", "ended"]


class Sample(Struct, frozen=True):
    """One captured thing of one input. Whoever holds it may read the payload; nobody writes to it.

    `t_ns` is the capture on CLOCK_MONOTONIC (sound: its block's first sample), stamped once. A source that is played
    from a file stamps by the file's own time; `shift_ns` is then what separates that from the moment it was let out, so
    that ages and latencies are told against real time while alignment depends on stamps alone.
    """

    input: str
    seq: int
    t_ns: int
    payload: Any
    shift_ns: int = 0
    until_ns: int | None = None

    @property
    def end_ns(self) -> int:
        """When it was there as a whole: inputs are brought together by this, ages are told from `t_ns`."""
        return self.t_ns if self.until_ns is None else self.until_ns


class Reading(Struct, frozen=True):
    """What a moment knows of one input: the sample (None when it is missing) and its state."""

    state: State
    sample: Sample | None


class Moment(Struct, frozen=True):
    """What the fusion sees at one tick."""

    seq: int
    driver: Sample
    readings: Mapping[str, Reading]

    @property
    def t_ns(self) -> int:
        return self.driver.t_ns


class InputAge(Struct, frozen=True):
    """How old an input was when its prediction was handed over. `seq` and `age_ms` are None when it was missing."""

    seq: int | None
    age_ms: float | None
    state: State


class HeatMap(Struct, frozen=True):
    """A map over a part of the source frame, for whoever draws it: float32 [rows, columns] between 0 and 1."""

    values: Any
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the source frame


class Prediction(Struct, frozen=True):
    """Decoded outputs, and all that is needed to judge how far to trust them.

    `sources` holds the very samples that were used; a sink that draws the picture reads it there.
    """

    seq: int
    t_ns: int
    outputs: Mapping[str, Any]
    inputs: Mapping[str, InputAge]
    latency_ms: Mapping[str, float]
    deadline_missed: bool
    health: Literal["ok", "degraded"]
    sources: Mapping[str, Sample] = {}
    maps: Mapping[str, HeatMap] = {}  # by output; only a page has use for them

    def __repr__(self) -> str:
        """Without the pictures and the sounds."""
        told = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in {"sources", "maps"})
        return f"Prediction({', '.join(told)})"


class Event(Struct, frozen=True):
    """Something happened to a source, a sink or the engine."""

    t_ns: int
    source: str
    state: str
    detail: str = ""
