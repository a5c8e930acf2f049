"""What the whole loses in one precision, and what each part of it loses alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from .accuracy import accuracy
from .agreement import agreement
from .chain import part_feed, part_outputs, run_chain, sources_of
from .parity import compare_all
from .proof import chain_outputs
from .runner import open_artefact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.manifest import ParityRow, Precision

    from .datasets import Data
    from .feeds import Array, Feed
    from .model import SourceModel
    from .partition import Split
    from .recipe import Recipe

# What runs where a part does not have the precision: the order in which an engine takes what a bundle holds.
STAND_INS: dict[Precision, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16", "fp32"),
    "int8-cpu": ("int8-cpu", "fp32"),
    "int8-trt": ("int8-trt", "fp16", "fp32"),
}


def stand_in(there: Mapping[Precision, Path], precision: Precision) -> Precision:
    """What a part runs in when the whole is asked for in `precision`."""
    return next(item for item in STAND_INS[precision] if item in there)


@dataclass
class ChainProof:
    """The samples that nothing was made from, and what the model's origin gives for them."""

    model: SourceModel
    split: Split
    data: Data
    recipe: Recipe
    reference: list[Feed]
    made: list[dict[str, Array]]  # what the fp32 parts took and gave, by reference
    _given: dict[Path, list[Feed]] = field(default_factory=dict)  # what each artefact gave in the chain

    def chain_rows(self, paths: Mapping[str, Mapping[Precision, Path]], precision: Precision) -> list[ParityRow]:
        """The whole against the model's origin, decoded outputs too."""
        states = {state.name: state.output for state in self.model.spec.states}
        runners = {}
        for part in self.split.parts:
            there = stand_in(paths[part.name], precision)
            runners[part.name] = open_artefact(paths[part.name][there], there, threads=self.recipe.threads)
        made = [run_chain(self.split.parts, runners, sources_of(feed, states)) for feed in self.data.unseen]
        for part in self.split.parts:
            self._given[paths[part.name][stand_in(paths[part.name], precision)]] = [
                part_outputs(part, values) for values in made
            ]
        got = [{name: values[source] for name, source in self.split.outputs.items()} for values in made]
        tolerance = self.recipe.tolerance_of(precision)
        rows = compare_all("chain", precision, got, self.reference, tolerance, self.data.kind)
        labelled = [chain_outputs(self.split, runners, sample.feed, states) for sample in self.data.labelled]
        for output in self.model.spec.outputs:
            share = agreement(output, got, self.reference)
            right = accuracy(output, labelled, self.data.labelled)
            for place, row in enumerate(rows):
                if row.tensor in output.reads.values():
                    passed = row.passed and (share >= self.recipe.agreement or self.data.kind == "random")
                    rows[place] = msgspec.structs.replace(row, agreement=share, accuracy=right, passed=passed)
        return rows

    def part_rows(self, paths: Mapping[str, Mapping[Precision, Path]]) -> list[ParityRow]:
        """Every part on its own, fed with what the fp32 parts before it gave."""
        rows = []
        for part in self.split.parts:
            wanted = [part_outputs(part, values) for values in self.made]
            for precision, path in paths[part.name].items():
                if precision == "fp32":
                    continue
                got = self._given.get(path) if part.kind == "encode" else None  # it reads no other part
                if got is None:
                    runner = open_artefact(path, precision, threads=self.recipe.threads)
                    got = [runner(part_feed(part.reads, values)) for values in self.made]
                tolerance = self.recipe.tolerance_of(precision)
                rows += compare_all(f"part:{part.name}", precision, got, wanted, tolerance, self.data.kind)
        return rows
