"""Converts predictions, events and the summary to the records of the JSON lines (docs/live-loop.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from mm_edge.sample import Event, Prediction

from .records import CameraRecord, EventRecord, InputRecord, PredictionRecord, SummaryRecord

if TYPE_CHECKING:
    from mm_edge.runtime.sink import Summary
    from mm_edge.sample import InputAge

MS_DIGITS = 3  # microseconds


def record_of(item: Prediction | Event | Summary) -> PredictionRecord | EventRecord | SummaryRecord:
    if isinstance(item, Prediction):
        return PredictionRecord(
            item.seq,
            item.t_ns,
            item.outputs,
            {name: _input(age) for name, age in item.inputs.items()},
            {stage: round(ms, MS_DIGITS) for stage, ms in item.latency_ms.items()},
            item.deadline_missed,
            item.health,
            _named(item.camera),
        )
    if isinstance(item, Event):
        return EventRecord(item.t_ns, item.source, item.state, item.detail, _named(item.camera))
    fields = asdict(item)
    if item.cameras:
        fields["cameras"] = {name: CameraRecord(**asdict(figures)) for name, figures in item.cameras.items()}
    return SummaryRecord(**fields)


def as_json(item: Prediction | Event | Summary) -> dict[str, Any]:
    """The record as a dict, `kind` first."""
    fields: dict[str, Any] = msgspec.to_builtins(record_of(item))
    return fields


def _named(camera: str | None) -> str | UnsetType:
    """Left out where only one camera runs."""
    return UNSET if camera is None else camera


def _input(age: InputAge) -> InputRecord:
    return InputRecord(age.seq, None if age.age_ms is None else round(age.age_ms, MS_DIGITS), age.state)
