"""Writes the JSON Schemas from the records: python -m mm_edge.cli.schemas FOLDER (make schemas)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from mm_edge.benchmarks.bench.figure import Report
from mm_edge.bundle.manifest import Manifest
from mm_edge.doctor.report import DevicesReport, DoctorReport
from mm_edge.runtime.sinks.telemetry.records import EventRecord, PredictionRecord, SummaryRecord

DIALECT = "https://json-schema.org/draft/2020-12/schema"
RECORDS: dict[str, type[msgspec.Struct]] = {
    "manifest": Manifest,
    "prediction": PredictionRecord,
    "event": EventRecord,
    "summary": SummaryRecord,
    "bench": Report,
    "doctor": DoctorReport,
    "devices": DevicesReport,
}


def schema_of(record: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$schema": DIALECT, **_portable(msgspec.json.schema(record))}


def text_of(record: type[msgspec.Struct]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(schema_of(record)), indent=2) + b"\n"


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, record in RECORDS.items():
        (folder / f"{name}.json").write_bytes(text_of(record))


def _portable(value: Any) -> Any:
    r"""Replaces Python's `\Z` in patterns by `$`, since JSON Schema uses the regular expressions of ECMAScript."""
    if isinstance(value, dict):
        return {
            key: item.replace(r"\Z", "$") if key == "pattern" and isinstance(item, str) else _portable(item)
            for key, item in value.items()
        }
    return [_portable(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    write(Path(sys.argv[1]))
