"""The candidates of a model: makes every part in fp32 and in the reduced precisions, and records what was tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.export.graphs.lint import lint
from mm_edge.export.graphs.runner import ALL_CORES, Runner
from mm_edge.export.graphs.weights import load, save
from mm_edge.export.split.partition import Fp32Parts, PartSamples
from mm_edge.export.verify.parity import run_chain, tolerance_of, verify_inputs, verify_inputs_are_read

from .part_search import PartSearch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.graphs.lint import Finding
    from mm_edge.export.model import Dataset
    from mm_edge.export.package.verified_model import Candidate
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import PartGraph, SplitModel
    from mm_edge.export.workspace import Workspace


NO_FASTER = "no faster here, left out"
LEAST_GAIN = 1.1  # int8 must be this much faster than fp32 to be preferred on the CPU
REDUCED: tuple[Precision, ...] = ("fp16", "int8-cpu", "int8-trt")
SMALL_SHARE = 0.05  # of the largest part's work; the error of a smaller part is not budgeted
NO_INT8_NOTE = "no int8: it needs calibration samples, and none were given (--calibrate)"


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


def make_candidates(split: SplitModel, dataset: Dataset, workspace: Workspace) -> Candidates:
    """Every part in fp32 and in each requested precision that passes by itself."""
    recipe, progress = workspace.recipe, workspace.progress
    with progress.step("fp32"):
        fp32 = _write_fp32(split, dataset, workspace.folder)
    precisions, notes = _requested(recipe, dataset)
    share = _share(split)
    searches = {part.name: PartSearch(part, workspace, PartSamples.of(part, fp32), share) for part in split.parts}
    _check_names(searches, recipe)
    candidates = Candidates(split, recipe, fp32, searches, notes=notes)
    steps = [(part.name, precision) for part in split.parts for precision in precisions]
    failures: dict[Precision, str] = {}
    for number, (name, precision) in enumerate(steps, 1):
        with progress.step(f"{precision} {name}", number, len(steps)):
            candidate = searches[name].make(precision, tolerance_of(recipe, precision))
            if candidate is not None:
                candidates = candidates.add(candidate)
                continue
            reason = searches[name].failure or "it has no nodes to reduce"
            failures[precision] = f"'{name}' has no {precision}: {reason}"
            candidates = candidates.note(failures[precision])
    _check_requested(candidates, failures)
    return candidates


def _write_fp32(split: SplitModel, dataset: Dataset, folder: Path) -> Fp32Parts:
    paths = {part.name: folder / f"{part.name}.fp32.onnx" for part in split.parts}
    for part in split.parts:
        save(part.graph, paths[part.name])
    unseen, calibration, spare = (
        [split.values_of(feed) for feed in feeds] for feeds in (dataset.unseen, dataset.calibration, dataset.spare)
    )

    def opened(part: PartGraph) -> Runner:
        return Runner(paths[part.name], threads=ALL_CORES)

    run_chain(split.parts, opened, [*unseen, *calibration, *spare])
    fp32 = Fp32Parts(paths, unseen, calibration, spare)
    verify_inputs_are_read(split)
    for part in split.parts:
        samples = [part.feed(values) for values in (*unseen, *fp32.searched_on)]
        verify_inputs(part, "fp32", opened(part), samples)
    return fp32


def _requested(recipe: Recipe, dataset: Dataset) -> tuple[list[Precision], tuple[str, ...]]:
    """The reduced precisions to try, and a note when `auto` cannot try int8."""
    requested = recipe.precisions or REDUCED
    if any(precision.startswith("int8") for precision in requested) and not dataset.calibration:
        if recipe.precisions:
            raise UsageError(
                "there are no samples to calibrate on",
                action="making int8",
                hint="Give a folder of samples or a take: --calibrate PATH",
            )
        return [precision for precision in requested if not precision.startswith("int8")], (NO_INT8_NOTE,)
    return [precision for precision in requested if precision != "fp32"], ()


def _share(split: SplitModel) -> float:
    """The share of the tolerance for each part: errors of independent parts add up in squares."""
    most = max(part.flops for part in split.parts)
    return float(max(1, sum(part.flops >= SMALL_SHARE * most for part in split.parts)) ** -0.5)


def _check_names(searches: Mapping[str, PartSearch], recipe: Recipe) -> None:
    """A name that matches no node would be ignored silently."""
    if not recipe.keep_fp32:
        return
    known = {node.name for search in searches.values() for node in search.base.graph.node}
    if unknown := sorted(set(recipe.keep_fp32) - known):
        near = get_close_matches(unknown[0], known, 3, 0.0)
        raise UsageError(
            f"there is no node '{unknown[0]}'",
            action="reading --keep-fp32",
            hint=f"Similar names: {', '.join(near)}. Names are those after constants and norms were folded",
        )


def _check_requested(candidates: Candidates, failures: Mapping[Precision, str]) -> None:
    """A precision that was requested by name and is available in no part is an error, not a note."""
    for precision in candidates.recipe.precisions:
        if precision != "fp32" and not candidates.packed(precision):
            limit = tolerance_of(candidates.recipe, precision)
            raise WorkFailedError(
                failures.get(precision, f"no part can be reduced to {precision} within {limit:g}"),
                action="reducing the precision",
                hint="No bundle was written. Raise --tolerance, or leave that precision out",
            )
