"""Makes the files of every part in every precision that is wanted, and measures what each costs and loses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .chain import part_feed, run_chain, sources_of
from .graph import save
from .parity import compare_all
from .proof import chain_outputs
from .runner import Runner

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.manifest import Calibration, Family, ParityRow, Precision

    from .datasets import Data
    from .model import SourceModel
    from .partition import Split
    from .progress import Progress
    from .recipe import Recipe


@dataclass
class Made:
    """The files by part and precision, and everything that was measured on the way."""

    paths: dict[str, dict[Precision, Path]]
    costs: dict[str, dict[str, float]]
    parity: list[ParityRow]
    preferred: dict[Family, dict[str, Precision]] = field(default_factory=dict)
    calibration: Calibration | None = None
    notes: list[str] = field(default_factory=list)


def make_artefacts(model: SourceModel, split: Split, data: Data, recipe: Recipe, work: Path, progress: Progress) -> Made:
    made = Made({}, {}, [])
    states = {state.name: state.output for state in model.spec.states}
    runners = {}
    with progress.step("fp32"):
        for part in split.parts:
            path = work / f"{part.name}.fp32.onnx"
            save(part.graph, path)
            made.paths[part.name] = {"fp32": path}
            runners[part.name] = Runner(path, threads=recipe.threads)
        wanted = [model.reference(feed) for feed in data.unseen]
        got = [chain_outputs(split, runners, feed, states) for feed in data.unseen]
        made.parity += compare_all("chain", "fp32", got, wanted, recipe.tolerance_of("fp32"), data.kind)
        values = run_chain(split.parts, runners, sources_of(data.unseen[0], states))
        for part in split.parts:
            made.costs[part.name] = {"fp32": runners[part.name].milliseconds(part_feed(part.reads, values))}
    made.preferred = {"cpu": {part.name: "fp32" for part in split.parts}}
    return made
