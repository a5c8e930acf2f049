"""The candidates of a model: every part in fp32, and the reduced precisions that were tried for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.graph import load
from mm_edge.export.graphs.lint import lint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.graphs.lint import Finding
    from mm_edge.export.package.verified_model import Candidate
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import SplitModel

    from .part_search import Fp32Parts, PartSearch

NO_FASTER = "no faster here, left out"
LEAST_GAIN = 1.1  # int8 must be this much faster than fp32 to be preferred on the CPU


@dataclass(frozen=True)
class Candidates:
    """`tried` holds every candidate; one without a reason in `left_out` is packed."""

    split: SplitModel
    recipe: Recipe
    fp32: Fp32Parts
    searches: Mapping[str, PartSearch]  # by part
    tried: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()

    def paths(self) -> dict[str, dict[Precision, Path]]:
        """The files to pack, by part and precision."""
        paths: dict[str, dict[Precision, Path]] = {name: {"fp32": path} for name, path in self.fp32.paths.items()}
        for item in self.tried:
            if not item.left_out:
                paths[item.part][item.precision] = item.path
        return paths

    def packed(self, precision: Precision) -> dict[str, Candidate]:
        """The candidates of this precision that are packed, by part."""
        return {item.part: item for item in self.tried if item.precision == precision and not item.left_out}

    def costs(self) -> dict[str, dict[str, float]]:
        """Milliseconds by part and precision, of what was timed."""
        costs: dict[str, dict[str, float]] = {name: {} for name in self.fp32.paths}
        for item in self.tried:
            if item.ms is not None and item.fp32_ms is not None:
                costs[item.part] = {"fp32": item.fp32_ms, **({} if item.left_out else {item.precision: item.ms})}
        return costs

    def add(self, candidate: Candidate) -> Candidates:
        """With one more candidate. It is left out if TensorRT would reject it or it is no faster than fp32."""
        if candidate.precision != "int8-cpu" and (findings := lint(load(candidate.path))):
            return self._rejected(candidate, findings)
        timed = candidate.ms is not None and candidate.fp32_ms is not None
        if timed and candidate.ms * LEAST_GAIN > candidate.fp32_ms and not self.recipe.precisions:  # type: ignore[operator]
            candidate = replace(candidate, left_out=NO_FASTER)
        return replace(self, tried=(*self.tried, candidate))

    def leave_out(self, candidate: Candidate, reason: str) -> Candidates:
        """Without it in the bundle; it stays in the table of what was tried."""
        marked = replace(candidate, left_out=reason)
        return replace(self, tried=tuple(marked if item is candidate else item for item in self.tried))

    def exchange(self, old: Candidate, new: Candidate) -> Candidates:
        return replace(self, tried=tuple(item for item in self.tried if item is not old)).add(new)

    def note(self, text: str) -> Candidates:
        return replace(self, notes=(*self.notes, text))

    def stopped_searches(self) -> dict[str, str]:
        """The searches that ran out of time, by part and precision."""
        return {
            f"{item.part} {item.precision}": (
                f"stopped after {self.recipe.search_seconds:g} s; {len(item.kept)} nodes stay fp32"
            )
            for item in self.tried
            if item.stopped
        }

    def _rejected(self, candidate: Candidate, findings: list[Finding]) -> Candidates:
        """A graph that TensorRT would reject is left out, or stops the export when it was requested by name."""
        if candidate.precision in self.recipe.precisions or self.recipe.targets:
            raise WorkFailedError(
                f"{findings[0]}" + (f" ({len(findings) - 1} more findings)" if findings[1:] else ""),
                action=f"checking '{candidate.part}' in {candidate.precision} against TensorRT's rules",
                hint="No bundle was written",
            )
        rejected = replace(candidate, left_out="TensorRT would reject it, left out")
        return replace(self, tried=(*self.tried, rejected)).note(
            f"'{candidate.part}' in {candidate.precision} is left out: TensorRT would reject it: {findings[0]}"
        )
