"""What flows through the loop: a Sample is captured, a Moment brings samples together, a Prediction comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

State: TypeAlias = Literal["fresh", "held", "missing"]
Health: TypeAlias = Literal["starting", "live", "stale", "lost", "reconnecting", "ended"]


@dataclass(frozen=True, slots=True)
class Sample:
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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a moment knows of one input: the sample (None when it is missing) and its state."""

    state: State
    sample: Sample | None


@dataclass(frozen=True, slots=True)
class Moment:
    """What the fusion sees at one tick."""

    seq: int
    driver: Sample
    readings: Mapping[str, Reading]

    @property
    def t_ns(self) -> int:
        return self.driver.t_ns


@dataclass(frozen=True, slots=True)
class InputAge:
    """How old an input was when its prediction was handed over. `seq` and `age_ms` are None when it was missing."""

    seq: int | None
    age_ms: float | None
    state: State


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A map over a part of the source frame, for whoever draws it: float32 [rows, columns] between 0 and 1."""

    values: Any
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the source frame


@dataclass(frozen=True, slots=True)
class Prediction:
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
    sources: Mapping[str, Sample] = field(repr=False, default_factory=dict)
    maps: Mapping[str, HeatMap] = field(repr=False, default_factory=dict)  # by output; only a page has use for them


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a source, a sink or the engine."""

    t_ns: int
    source: str
    state: str
    detail: str = ""
