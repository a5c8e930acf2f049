"""The data of the loop: a Sample is captured, a Moment aligns samples, a Prediction is the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

State: TypeAlias = Literal["fresh", "held", "missing"]
Health: TypeAlias = Literal["starting", "live", "stale", "lost", "reconnecting", "refused", "ended"]


class Sample(Struct, frozen=True):
    """One capture of one input. The payload is read-only.

    `t_ns` is the capture time on CLOCK_MONOTONIC (audio: of the block's first sample), stamped once. A source played
    from a file stamps by the file's own time; `shift_ns` is then the delay until delivery, so that ages and latencies
    refer to real time while alignment depends on timestamps alone.
    """

    input: str
    seq: int
    t_ns: int
    payload: Any
    shift_ns: int = 0
    until_ns: int | None = None

    @property
    def end_ns(self) -> int:
        """When the capture was complete. Alignment uses this, ages are relative to `t_ns`."""
        return self.t_ns if self.until_ns is None else self.until_ns


class Reading(Struct, frozen=True):
    """One input of a moment: the sample (None if missing) and its state."""

    state: State
    sample: Sample | None


class Moment(Struct, frozen=True):
    """The inputs of the fusion at one tick."""

    seq: int
    driver: Sample
    readings: Mapping[str, Reading]

    @property
    def t_ns(self) -> int:
        return self.driver.t_ns


class InputAge(Struct, frozen=True):
    """The age of an input when its prediction was delivered. `seq` and `age_ms` are None if it was missing."""

    seq: int | None
    age_ms: float | None
    state: State


class HeatMap(Struct, frozen=True):
    """A heatmap over part of the source frame, for display: float32 [rows, columns] between 0 and 1."""

    values: Any
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the source frame


class Prediction(Struct, frozen=True):
    """Decoded outputs, with the ages, latencies and states needed to judge their reliability.

    `sources` contains the samples used; a sink that draws the image reads it there. `camera` is the name of the camera
    if several run on one model: `seq` then counts its own predictions.
    """

    seq: int
    t_ns: int
    outputs: Mapping[str, Any]
    inputs: Mapping[str, InputAge]
    latency_ms: Mapping[str, float]
    deadline_missed: bool
    health: Literal["ok", "degraded"]
    sources: Mapping[str, Sample] = {}
    maps: Mapping[str, HeatMap] = {}  # by output; used only by the live page
    camera: str | None = None

    def __repr__(self) -> str:
        """Omits images and audio, and the camera if there is only one."""
        hidden = {"sources", "maps", *(["camera"] if self.camera is None else [])}
        shown = (name for name in self.__struct_fields__ if name not in hidden)
        fields = (f"{name}={getattr(self, name)!r}" for name in shown)
        return f"Prediction({', '.join(fields)})"


class Event(Struct, frozen=True):
    """A state change of a source, a sink or the engine. `camera`: the one that it concerns, if several run."""

    t_ns: int
    source: str
    state: str
    detail: str = ""
    camera: str | None = None
