"""The history file of a machine: one line of JSON per run, limited to the latest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mm_edge.errors import UsageError
from mm_edge.spec import Strict

if TYPE_CHECKING:
    from pathlib import Path

    from .figure import Report

MOST_RUNS = 500  # about 1 KB each


class Entry(Strict, frozen=True):
    """The figures of one run."""

    when: str
    bundle: str
    bundle_digest: str
    kind: str
    version: str
    quiet: bool
    values: dict[str, tuple[float, float, float]]  # value, low, high


def entry(report: Report) -> Entry:
    return Entry(
        report.when,
        report.bundle,
        report.bundle_digest,
        report.machine.kind,
        report.machine.versions.get("mm-edge", ""),
        quiet=not report.machine.conditions.warnings,
        values={figure.key: (figure.value, figure.low, figure.high) for figure in report.figures},
    )


def read_history(path: Path) -> list[Entry]:
    if not path.exists():
        return []
    try:
        return [msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(
            f"{error}", action=f"reading the history {path}", hint="Move the file away to start a new history"
        ) from None


def remember(path: Path, report: Report) -> list[Entry]:
    """Adds a run; returns the runs of the same bundle name and kind of machine, oldest first."""
    entries = [*read_history(path), entry(report)][-MOST_RUNS:]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial-{path.name}")
    partial.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in entries))
    partial.replace(path)
    return [each for each in entries if (each.bundle, each.kind) == (report.bundle, report.machine.kind)]
