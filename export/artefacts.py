"""Makes every part in every precision that is wanted, proves them in the chain, chooses what `auto` runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.manifest import Calibration

from .accuracy import accuracy
from .agreement import agreement
from .candidates import Candidate, PartWork
from .chain import part_feed, run_chain, sources_of
from .graph import load, save
from .lint import lint
from .parity import compare_all
from .proof import chain_outputs
from .runner import Runner, open_artefact, race

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.manifest import Family, ParityRow, Precision

    from .datasets import Data
    from .feeds import Feed
    from .lint import Finding
    from .model import SourceModel
    from .partition import Split
    from .progress import Progress
    from .recipe import Recipe
    from .store import Store

REDUCED: tuple[Precision, ...] = ("fp16", "int8-cpu", "int8-trt")
LEAST_GAIN = 1.1  # int8 must be this much faster than fp32 to be preferred on the CPU
GPU_NOTE = (
    "on a GPU `auto` takes fp16: measured here was the loss, not the time; `mm-edge bench` on the device measures both"
)
NO_INT8_NOTE = "no int8: it is calibrated on samples, and none were given (--calibrate)"


@dataclass
class Made:
    """The files by part and precision, and everything that was measured on the way."""

    paths: dict[str, dict[Precision, Path]]
    costs: dict[str, dict[str, float]]
    sizes: dict[str, int] = field(default_factory=dict)  # of the fp32 files, in bytes
    parity: list[ParityRow] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    preferred: dict[Family, dict[str, Precision]] = field(default_factory=dict)
    calibration: Calibration | None = None
    failures: dict[str, str] = field(default_factory=dict)  # by precision, the last part that could not be had in it
    notes: list[str] = field(default_factory=list)


def make_artefacts(  # noqa: PLR0917
    model: SourceModel, split: Split, data: Data, recipe: Recipe, work: Path, store: Store, progress: Progress
) -> Made:
    made = Made({}, {})
    states = {state.name: state.output for state in model.spec.states}
    runners: dict[str, Runner] = {}
    with progress.step("fp32"):
        for part in split.parts:
            path = work / f"{part.name}.fp32.onnx"
            save(part.graph, path)
            made.paths[part.name] = {"fp32": path}
            made.sizes[part.name] = path.stat().st_size
            runners[part.name] = Runner(path, threads=recipe.threads)
        proof = [run_chain(split.parts, runners, sources_of(feed, states)) for feed in data.unseen]
        for part in split.parts:
            made.costs[part.name] = race({"fp32": runners[part.name]}, part_feed(part.reads, proof[0]))
    calibration = [run_chain(split.parts, runners, sources_of(feed, states)) for feed in data.calibration]
    runners.clear()  # each holds its weights once more
    wanted_precisions = _wanted(recipe, data, made)
    count, number = len(split.parts) * len(wanted_precisions), 0
    for part in split.parts:
        part_work = PartWork(
            part,
            recipe,
            work,
            [part_feed(part.reads, values) for values in calibration],
            [part_feed(part.reads, values) for values in proof],
            store,
        )
        for precision in wanted_precisions:
            number += 1
            with progress.step(f"{precision} {part.name}", number, count):
                _add(made, part_work, precision, recipe)
    _check_asked(made, recipe)
    with progress.step("prove every precision in the chain"):
        reference = [model.reference(feed) for feed in data.unseen]
        for precision in ("fp32", *wanted_precisions):
            if not any(precision in paths for paths in made.paths.values()):
                continue
            made.parity += _chain_rows(model, split, made, data, recipe, precision, reference, states)
        made.parity += _part_rows(split, made, data, recipe, proof)
    _choose(made, split)
    if data.calibration and any(precision.startswith("int8") for precision in wanted_precisions):
        made.calibration = Calibration(data.digest, len(data.calibration), data.source, recipe.method)
    return made


def _wanted(recipe: Recipe, data: Data, made: Made) -> list[Precision]:
    asked = recipe.precisions or REDUCED
    if any(precision.startswith("int8") for precision in asked) and not data.calibration:
        if recipe.precisions:
            raise UsageError(
                "there are no samples to calibrate on",
                asked="making int8",
                todo="Give a folder of samples or a take: --calibrate PATH",
            )
        made.notes.append(NO_INT8_NOTE)
        return [precision for precision in asked if not precision.startswith("int8")]
    return [precision for precision in asked if precision != "fp32"]


def _add(made: Made, work: PartWork, precision: Precision, recipe: Recipe) -> None:
    """The part in this precision, if it can be had within tolerance; why not is told."""
    name = work.part.name
    candidate = work.make(precision, recipe.tolerance_of(precision))
    if candidate is None:
        reason = (
            f"nothing in it can be reduced within {recipe.tolerance_of(precision):g}: {work.failure}"
            if work.failure
            else "it has nothing to reduce"
        )
        made.failures[precision] = f"'{name}' has no {precision}: {reason}"
        made.notes.append(made.failures[precision])
        return
    made.candidates.append(candidate)
    if precision != "int8-cpu" and (findings := lint(load(candidate.path))):
        _report_findings(made, candidate, findings, recipe)
        return
    if candidate.ms is not None and candidate.fp32_ms is not None:
        made.costs[name] = {"fp32": candidate.fp32_ms}
        if candidate.ms * LEAST_GAIN > candidate.fp32_ms and not recipe.precisions:
            candidate.note = "no faster here, left out"
            return
        made.costs[name][precision] = candidate.ms
    made.paths[name][precision] = candidate.path


def _report_findings(made: Made, candidate: Candidate, findings: list[Finding], recipe: Recipe) -> None:
    """A graph that TensorRT would refuse is left out, or stops the export when it was asked for by name."""
    if candidate.precision in recipe.precisions or recipe.targets:
        raise WorkFailedError(
            f"{findings[0]}" + (f" ({len(findings) - 1} more findings)" if findings[1:] else ""),
            asked=f"checking '{candidate.part}' in {candidate.precision} against TensorRT's rules",
            todo="No bundle was written",
        )
    candidate.note = "TensorRT would refuse it, left out"
    made.notes.append(
        f"'{candidate.part}' in {candidate.precision} is left out: TensorRT would refuse it: {findings[0]}"
    )


def _check_asked(made: Made, recipe: Recipe) -> None:
    """What was asked for by name and did not happen in any part is an error, not a note."""
    for precision in recipe.precisions:
        if not any(precision in paths for paths in made.paths.values()):
            raise WorkFailedError(
                made.failures.get(
                    precision, f"no part can be had in {precision} within {recipe.tolerance_of(precision):g}"
                ),
                asked="reducing the precision",
                todo="No bundle was written. Raise --tolerance, or leave that precision out",
            )


def _chain_rows(  # noqa: PLR0917
    model: SourceModel,
    split: Split,
    made: Made,
    data: Data,
    recipe: Recipe,
    precision: Precision,
    reference: list[Feed],
    states: dict[str, str],
) -> list[ParityRow]:
    """The whole in one precision (fp32 where a part has none) against the model's origin, decoded outputs too."""
    runners = {}
    for part in split.parts:
        there: Precision = precision if precision in made.paths[part.name] else "fp32"
        runners[part.name] = open_artefact(made.paths[part.name][there], there, threads=recipe.threads)
    got = [chain_outputs(split, runners, feed, states) for feed in data.unseen]
    rows = compare_all("chain", precision, got, reference, recipe.tolerance_of(precision), data.kind)
    labelled = [chain_outputs(split, runners, sample.feed, states) for sample in data.labelled]
    for output in model.spec.outputs:
        share, right = agreement(output, got, reference), accuracy(output, labelled, data.labelled)
        for place, row in enumerate(rows):
            if row.tensor in output.reads.values():
                passed = row.passed and (share >= recipe.agreement or data.kind == "random")
                rows[place] = msgspec.structs.replace(row, agreement=share, accuracy=right, passed=passed)
    return rows


def _part_rows(split: Split, made: Made, data: Data, recipe: Recipe, proof: list[Feed]) -> list[ParityRow]:
    """Every part on its own, fed with what the fp32 parts before it gave."""
    rows = []
    for part in split.parts:
        wanted = [{tensor.name: values[f"part:{part.name}.{tensor.name}"] for tensor in part.gives} for values in proof]
        for precision, path in made.paths[part.name].items():
            if precision == "fp32":
                continue
            runner = open_artefact(path, precision, threads=recipe.threads)
            got = [runner(part_feed(part.reads, values)) for values in proof]
            rows += compare_all(f"part:{part.name}", precision, got, wanted, recipe.tolerance_of(precision), data.kind)
    return rows


def _choose(made: Made, split: Split) -> None:
    """By part: the fastest on the CPU; on a GPU fp16 where there is one, unmeasured."""
    cpu: dict[str, Precision] = {}
    gpu: dict[str, Precision] = {}
    for part in split.parts:
        ms, paths = made.costs[part.name], made.paths[part.name]
        faster = "int8-cpu" in paths and ms["int8-cpu"] * LEAST_GAIN <= ms["fp32"]
        cpu[part.name] = "int8-cpu" if faster else "fp32"
        gpu[part.name] = "fp16" if "fp16" in paths else "fp32"
    made.preferred = {"cpu": cpu, "gpu": gpu}
    if "fp16" in gpu.values():
        made.notes.append(GPU_NOTE)
