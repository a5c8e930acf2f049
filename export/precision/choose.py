"""Makes every part in every precision that is wanted, proves them in the chain, chooses what `auto` runs."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from mm_edge.bundle.manifest import Calibration
from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.export.graphs.graph import save
from mm_edge.export.graphs.runner import ALL_CORES, Runner, race
from mm_edge.export.package.made import LEAST_GAIN, Made
from mm_edge.export.verify.chain import part_feed, part_outputs, run_one_by_one, sources_of
from mm_edge.export.verify.chain_parity import ChainProof

from .chain_gate import WholeProof
from .part_search import PartWork

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.data.datasets import Data
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.export.progress import Progress
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import Split
    from mm_edge.export.store import Store

REDUCED: tuple[Precision, ...] = ("fp16", "int8-cpu", "int8-trt")
GPU_NOTE = (
    "on a GPU `auto` takes fp16: measured here was the loss, not the time; `mm-edge bench` on the device measures both"
)
SMALL_SHARE = 0.05  # of the largest part's work; what a smaller part loses is not reckoned with beforehand
NO_INT8_NOTE = "no int8: it is calibrated on samples, and none were given (--calibrate)"


def make_artefacts(  # noqa: PLR0917
    model: SourceModel,
    split: Split,
    data: Data,
    reference: list[Feed],
    recipe: Recipe,
    work: Path,
    store: Store,
    progress: Progress,
) -> Made:
    """`reference` is what the model's origin gives for the unseen samples."""
    made = Made({}, {})
    with progress.step("fp32"):
        proof, calibration, spare = _fp32(model, split, data, work, made)
    looked_at = (*spare, *calibration) or proof
    wanted = _wanted(recipe, data, made)
    works = {
        part.name: PartWork(
            part,
            recipe,
            work,
            [part_feed(part.reads, values) for values in calibration],
            [part_feed(part.reads, values) for values in proof],
            [part_outputs(part, values) for values in proof],
            [(part_feed(part.reads, values), part_outputs(part, values)) for values in looked_at],
            store,
            share=_share(split),
        )
        for part in split.parts
    }
    _check_names(works, recipe)
    count, number = len(split.parts) * len(wanted), 0
    for part in split.parts:
        for precision in wanted:
            number += 1
            with progress.step(f"{precision} {part.name}", number, count):
                _add(made, works[part.name], precision, recipe)
    _check_asked(made, recipe)
    with progress.step("prove every precision in the chain"):
        chain = ChainProof(model, split, data, recipe, reference, proof, _given(split, made, proof))
        whole = WholeProof(made, chain, works, looked_at)
        made.parity += chain.chain_rows(made.paths, "fp32")
        for precision in REDUCED:  # fp16 first: it stands in where a part has no int8 for a GPU
            if precision in wanted and made.has(precision):
                made.parity += whole.prove(precision)
        made.parity += chain.part_rows(made.paths)
    _time_the_rest(made, split, proof[0], recipe)
    _choose(made, split)
    made.tell_of_stopped_searches(recipe)
    if data.calibration and any(precision.startswith("int8") for precision in wanted):
        made.calibration = Calibration(data.digest, len(data.calibration), data.source, recipe.method)
    return made


def _fp32(model: SourceModel, split: Split, data: Data, work: Path, made: Made) -> tuple[list[dict[str, Array]], ...]:
    """Writes the parts; gives what they take and give for the samples: unseen, to calibrate on, and to spare."""
    states = {state.name: state.output for state in model.spec.states}
    for part in split.parts:
        path = work / f"{part.name}.fp32.onnx"
        save(part.graph, path)
        made.paths[part.name] = {"fp32": path}
        made.costs[part.name] = {}
        made.sizes[part.name] = path.stat().st_size
    kinds = [[sources_of(feed, states) for feed in feeds] for feeds in (data.unseen, data.calibration, data.spare)]
    everything = [values for kind in kinds for values in kind]
    run_one_by_one(split.parts, lambda part: Runner(made.paths[part.name]["fp32"], threads=ALL_CORES), everything)
    return tuple(kinds)


def _check_names(works: Mapping[str, PartWork], recipe: Recipe) -> None:
    """A name that no node has would be a wish that nobody hears."""
    if not recipe.keep_fp32:
        return
    known = {node.name for work in works.values() for node in work.base.graph.node}
    if unknown := sorted(set(recipe.keep_fp32) - known):
        near = get_close_matches(unknown[0], known, 3, 0.0)
        raise UsageError(
            f"no node is called '{unknown[0]}'",
            action="keeping nodes in fp32",
            hint=f"The nearest names are {', '.join(near)}; names are those after constants and norms were folded",
        )


def _share(split: Split) -> float:
    """Of the tolerance, for a part that fails alone: losses of unlike parts add up in squares."""
    most = max(part.flops for part in split.parts)
    return float(max(1, sum(part.flops >= SMALL_SHARE * most for part in split.parts)) ** -0.5)


def _given(split: Split, made: Made, proof: list[dict[str, Array]]) -> dict[Path, list[Feed]]:
    """What the artefacts of parts that read no other part gave when they were proven is what they give in the chain."""
    alone = [part for part in split.parts if part.stands_alone]
    known = {made.paths[part.name]["fp32"]: [part_outputs(part, values) for values in proof] for part in alone}
    names = {part.name for part in alone}
    return known | {item.path: item.given for item in made.candidates if item.given is not None and item.part in names}


def _time_the_rest(made: Made, split: Split, values: dict[str, Array], recipe: Recipe) -> None:
    """Parts that no other precision was raced against."""
    for part in split.parts:
        if "fp32" not in made.costs[part.name]:
            runner = Runner(made.paths[part.name]["fp32"], threads=recipe.threads)
            made.costs[part.name] |= race({"fp32": runner}, part_feed(part.reads, values))


def _wanted(recipe: Recipe, data: Data, made: Made) -> list[Precision]:
    requested = recipe.precisions or REDUCED
    if any(precision.startswith("int8") for precision in requested) and not data.calibration:
        if recipe.precisions:
            raise UsageError(
                "there are no samples to calibrate on",
                action="making int8",
                hint="Give a folder of samples or a take: --calibrate PATH",
            )
        made.notes.append(NO_INT8_NOTE)
        return [precision for precision in requested if not precision.startswith("int8")]
    return [precision for precision in requested if precision != "fp32"]


def _add(made: Made, work: PartWork, precision: Precision, recipe: Recipe) -> None:
    """The part in this precision, if it can be had within tolerance; why not is told."""
    name = work.part.name
    candidate = work.make(precision, recipe.tolerance_of(precision))
    if candidate is None:
        reason = work.failure or "it has nothing to reduce"
        made.failures[precision] = f"'{name}' has no {precision}: {reason}"
        made.notes.append(made.failures[precision])
        return
    made.accept(candidate, recipe)


def _check_asked(made: Made, recipe: Recipe) -> None:
    """What was asked for by name and did not happen in any part is an error, not a note."""
    for precision in recipe.precisions:
        if not any(precision in paths for paths in made.paths.values()):
            raise WorkFailedError(
                made.failures.get(
                    precision, f"no part can be had in {precision} within {recipe.tolerance_of(precision):g}"
                ),
                action="reducing the precision",
                hint="No bundle was written. Raise --tolerance, or leave that precision out",
            )


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
