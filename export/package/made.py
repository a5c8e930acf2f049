"""What an export has made so far: the files by part and precision, and everything that was measured on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.graph import load
from mm_edge.export.graphs.lint import lint

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.bundle.manifest import Calibration, Family, ParityRow, Precision
    from mm_edge.export.graphs.lint import Finding
    from mm_edge.export.precision.part_search import Candidate
    from mm_edge.export.recipe import Recipe

NO_FASTER = "no faster here, left out"
LEAST_GAIN = 1.1  # int8 must be this much faster than fp32 to be preferred on the CPU


@dataclass
class Made:
    """The artefacts that will be packed, the candidates behind them, and what was proven."""

    paths: dict[str, dict[Precision, Path]]
    costs: dict[str, dict[str, float]]
    sizes: dict[str, int] = field(default_factory=dict)  # of the fp32 files, in bytes
    parity: list[ParityRow] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    preferred: dict[Family, dict[str, Precision]] = field(default_factory=dict)
    calibration: Calibration | None = None
    failures: dict[str, str] = field(default_factory=dict)  # by precision, the last part that could not be had in it
    left_out: set[Precision] = field(default_factory=set)  # what `auto` could not prove in the whole
    notes: list[str] = field(default_factory=list)
    searches: dict[str, str] = field(default_factory=dict)  # that ran out of time, by part and precision

    def has(self, precision: Precision) -> bool:
        return any(precision in paths for paths in self.paths.values())

    def accept(self, candidate: Candidate, recipe: Recipe) -> None:
        """Takes the candidate into the bundle, unless TensorRT would refuse it or it is no faster."""
        name, precision = candidate.part, candidate.precision
        self.candidates.append(candidate)
        if precision != "int8-cpu" and (findings := lint(load(candidate.path))):
            self._refuse(candidate, findings, recipe)
            return
        if candidate.ms is not None and candidate.fp32_ms is not None:
            self.costs[name] = {"fp32": candidate.fp32_ms}
            if candidate.ms * LEAST_GAIN > candidate.fp32_ms and not recipe.precisions:
                candidate.note = NO_FASTER
                return
            self.costs[name][precision] = candidate.ms
        self.paths[name][precision] = candidate.path

    def drop(self, candidate: Candidate, note: str) -> None:
        """Takes it out again; it stays in the table of what was tried."""
        self.paths[candidate.part].pop(candidate.precision, None)
        self.costs[candidate.part].pop(candidate.precision, None)
        candidate.note = note

    def packed(self, precision: Precision) -> dict[str, Candidate]:
        """The candidates of this precision that are in the bundle, by part."""
        return {item.part: item for item in self.candidates if self.paths[item.part].get(precision) == item.path}

    def tell_of_stopped_searches(self, recipe: Recipe) -> None:
        for item in self.candidates:
            if item.stopped:
                self.searches[f"{item.part} {item.precision}"] = (
                    f"stopped after {recipe.search_seconds:g} s; {len(item.kept)} nodes stay fp32"
                )
        self.notes += [
            f"the search for what must stay fp32 in {name} was {told} (--search-seconds)"
            for name, told in self.searches.items()
        ]

    def _refuse(self, candidate: Candidate, findings: list[Finding], recipe: Recipe) -> None:
        """A graph that TensorRT would refuse is left out, or stops the export when it was asked for by name."""
        if candidate.precision in recipe.precisions or recipe.targets:
            raise WorkFailedError(
                f"{findings[0]}" + (f" ({len(findings) - 1} more findings)" if findings[1:] else ""),
                action=f"checking '{candidate.part}' in {candidate.precision} against TensorRT's rules",
                hint="No bundle was written",
            )
        candidate.note = "TensorRT would refuse it, left out"
        self.notes.append(
            f"'{candidate.part}' in {candidate.precision} is left out: TensorRT would refuse it: {findings[0]}"
        )
