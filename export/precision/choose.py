"""Tries every requested precision of every part, verifies the model in each, and chooses what `auto` runs."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mm_edge.bundle.manifest import Calibration
from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.export.graphs.graph import save
from mm_edge.export.graphs.runner import ALL_CORES, Runner, race
from mm_edge.export.package.verified_model import VerifiedModel
from mm_edge.export.verify.chain import ChainVerifier, run_chain
from mm_edge.export.verify.inputs import verify_inputs, verify_inputs_are_read
from mm_edge.export.verify.parity import gate, passed

from .candidates import LEAST_GAIN, Candidates
from .chain_gate import ChainGate
from .part_search import Fp32Parts, PartSamples, PartSearch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mm_edge.bundle.manifest import Family, ParityRow, Precision
    from mm_edge.export.dataset import Dataset
    from mm_edge.export.feeds import Feed
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import SplitModel
    from mm_edge.export.workspace import Workspace

REDUCED: tuple[Precision, ...] = ("fp16", "int8-cpu", "int8-trt")
GPU_NOTE = (
    "on a GPU `auto` uses fp16: its error was measured here, its speed was not; `mm-edge bench` on the device measures "
    "both"
)
SMALL_SHARE = 0.05  # of the largest part's work; the error of a smaller part is not budgeted
NO_INT8_NOTE = "no int8: it needs calibration samples, and none were given (--calibrate)"


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
            candidate = searches[name].make(precision, recipe.tolerance_of(precision))
            if candidate is not None:
                candidates = candidates.add(candidate)
                continue
            reason = searches[name].failure or "it has no nodes to reduce"
            failures[precision] = f"'{name}' has no {precision}: {reason}"
            candidates = candidates.note(failures[precision])
    _check_requested(candidates, failures)
    return candidates


def verify_candidates(
    candidates: Candidates, dataset: Dataset, reference: Sequence[Feed], workspace: Workspace
) -> VerifiedModel:
    """Compares the whole model in every precision with `reference`, the source's outputs for the unseen samples."""
    split, recipe = candidates.split, candidates.recipe
    with workspace.progress.step("verify every precision of the whole model"):
        known = _known_outputs(candidates)
        verifier = ChainVerifier(split, dataset, recipe, reference, candidates.fp32.unseen, known)
        chain_gate = ChainGate(verifier, candidates.searches, candidates.fp32.searched_on)
        parity = verifier.chain_rows(candidates.paths(), "fp32")
        left_out: set[Precision] = set()
        for precision in REDUCED:  # fp16 first: it is the stand-in where a part has no int8 for a GPU
            if candidates.packed(precision):
                rows = verifier.chain_rows(candidates.paths(), precision)
                if not passed(rows):
                    candidates, rows = chain_gate.repair(candidates, precision, rows)
                if not passed(rows) and not recipe.precisions:
                    left_out.add(precision)
                parity += rows
        parity += verifier.part_rows(candidates.paths())
    gate([row for row in parity if row.precision not in left_out], recipe.tolerance_of, split.makers())
    return _verified(candidates, dataset, parity)


def _write_fp32(split: SplitModel, dataset: Dataset, folder: Path) -> Fp32Parts:
    paths = {part.name: folder / f"{part.name}.fp32.onnx" for part in split.parts}
    for part in split.parts:
        save(part.graph, paths[part.name])
    unseen, calibration, spare = (
        [split.values_of(feed) for feed in feeds] for feeds in (dataset.unseen, dataset.calibration, dataset.spare)
    )
    opened = lambda part: Runner(paths[part.name], threads=ALL_CORES)  # noqa: E731  # one line
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
            limit = candidates.recipe.tolerance_of(precision)
            raise WorkFailedError(
                failures.get(precision, f"no part can be reduced to {precision} within {limit:g}"),
                action="reducing the precision",
                hint="No bundle was written. Raise --tolerance, or leave that precision out",
            )


def _known_outputs(candidates: Candidates) -> dict[Path, list[Feed]]:
    """Known outputs for the unseen samples: those of a part that reads no other part are the same in any chain."""
    alone = {part.name: part for part in candidates.split.parts if part.stands_alone}
    fp32 = candidates.fp32
    known = {fp32.paths[name]: [part.outputs(values) for values in fp32.unseen] for name, part in alone.items()}
    tried = {item.path: item.outputs for item in candidates.tried if item.outputs is not None and item.part in alone}
    return known | tried


def _verified(candidates: Candidates, dataset: Dataset, parity: Sequence[ParityRow]) -> VerifiedModel:
    recipe, fp32, artefacts = candidates.recipe, candidates.fp32, candidates.paths()
    costs = _timed(candidates)
    preferred = _choose(costs, artefacts)
    stopped = candidates.stopped_searches()
    notes = [*candidates.notes, *([GPU_NOTE] if "fp16" in preferred["gpu"].values() else [])]
    notes += [
        f"the search for nodes that must stay fp32 in {name} was {result} (--search-seconds)"
        for name, result in stopped.items()
    ]
    int8 = dataset.calibration and any(precision.startswith("int8") for precision in recipe.precisions or REDUCED)
    return VerifiedModel(
        split=candidates.split,
        artefacts=artefacts,
        golden=dataset.golden,
        costs=costs,
        fp32_sizes={name: path.stat().st_size for name, path in fp32.paths.items()},
        candidates=tuple(replace(item, outputs=None) for item in candidates.tried),
        parity=tuple(parity),
        preferred=preferred,
        calibration=Calibration(dataset.digest, len(dataset.calibration), dataset.source, recipe.method)
        if int8
        else None,
        stopped_searches=stopped,
        notes=tuple(notes),
    )


def _timed(candidates: Candidates) -> dict[str, dict[str, float]]:
    """The measured times, fp32 included where no int8 was timed against it."""
    costs = candidates.costs()
    for part in candidates.split.parts:
        if "fp32" not in costs[part.name]:
            runner = Runner(candidates.fp32.paths[part.name], threads=candidates.recipe.threads)
            costs[part.name] |= race({"fp32": runner}, part.feed(candidates.fp32.unseen[0]))
    return costs


def _choose(
    costs: Mapping[str, Mapping[str, float]], artefacts: Mapping[str, Mapping[Precision, Path]]
) -> dict[Family, dict[str, Precision]]:
    """By part: the fastest on the CPU; on a GPU fp16 if available, which is not timed here."""
    cpu: dict[str, Precision] = {}
    gpu: dict[str, Precision] = {}
    for name, paths in artefacts.items():
        ms = costs[name]
        faster = "int8-cpu" in paths and ms["int8-cpu"] * LEAST_GAIN <= ms["fp32"]
        cpu[name] = "int8-cpu" if faster else "fp32"
        gpu[name] = "fp16" if "fp16" in paths else "fp32"
    return {"cpu": cpu, "gpu": gpu}
