"""The records behind the JSON lines of a run: a prediction, an event, the summary (docs/live-loop.md)."""

# Annotations are types, not strings: the JSON Schemas are generated from them.
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from mm_edge.sample import State


class InputRecord(Struct, frozen=True):
    """The state of one input when the prediction was delivered. `seq` and `age_ms` are null if it was missing."""

    seq: int | None
    age_ms: float | None
    state: State


class PredictionRecord(Struct, frozen=True, tag="prediction", tag_field="kind"):
    """One prediction: the decoded outputs, the state of each input, and the latency of each stage. `camera` is there if
    several cameras run on one model; `seq` then counts the predictions of each.
    """

    seq: int
    t_ns: int
    outputs: Mapping[str, Any]
    inputs: Mapping[str, InputRecord]
    latency_ms: Mapping[str, float]
    deadline_missed: bool
    health: Literal["ok", "degraded"]
    camera: str | UnsetType = UNSET


class EventRecord(Struct, frozen=True, tag="event", tag_field="kind"):
    """A state change of a source, a sink or the engine. `camera`: the one that it concerns, if several run."""

    t_ns: int
    source: str
    state: str
    detail: str
    camera: str | UnsetType = UNSET


class CameraRecord(Struct, frozen=True):
    """The totals of one of several cameras."""

    predictions: int
    captured: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    latency_ms: Mapping[str, Mapping[str, float]]
    age_ms: Mapping[str, Mapping[str, float]]
    deadline_missed: int


class SummaryRecord(Struct, frozen=True, tag="summary", tag_field="kind"):
    """The last line of a run: its totals, and those of each camera if several run."""

    seconds: float
    predictions: int
    captured: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    latency_ms: Mapping[str, Mapping[str, float]]
    age_ms: Mapping[str, Mapping[str, float]]
    deadline_missed: int
    cpu_seconds: float
    rss_mb: float
    engine: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, float]]
    sinks: Mapping[str, Mapping[str, int]]
    cameras: Mapping[str, CameraRecord] | UnsetType = UNSET
