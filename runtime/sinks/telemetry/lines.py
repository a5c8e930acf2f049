"""The JSON lines of a run: prediction, event and summary (docs/live-loop.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from mm_edge.sample import Event, Prediction

if TYPE_CHECKING:
    from mm_edge.runtime.sink import Summary
    from mm_edge.sample import InputAge

MS_DIGITS = 3  # microseconds


def as_json(item: Prediction | Event | Summary) -> dict[str, Any]:
    """`kind` first, then the fields in the order of the documents."""
    if isinstance(item, Prediction):
        return {
            "kind": "prediction",
            "seq": item.seq,
            "t_ns": item.t_ns,
            "outputs": item.outputs,
            "inputs": {name: _age(age) for name, age in item.inputs.items()},
            "latency_ms": {stage: round(ms, MS_DIGITS) for stage, ms in item.latency_ms.items()},
            "deadline_missed": item.deadline_missed,
            "health": item.health,
        }
    kind = "event" if isinstance(item, Event) else "summary"
    return {"kind": kind, **asdict(item)}


def _age(age: InputAge) -> dict[str, Any]:
    return {
        "seq": age.seq,
        "age_ms": None if age.age_ms is None else round(age.age_ms, MS_DIGITS),
        "state": age.state,
    }
