"""What the whole loses in one precision, and what each part of it loses alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from mm_edge.export.graphs.runner import ALL_CORES, open_artefact, run_all

from .accuracy import accuracy
from .agreement import agreement
from .chain import part_feed, part_outputs, run_one_by_one, sources_of
from .parity import compare_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.bundle.manifest import ParityRow, Precision
    from mm_edge.export.data.datasets import Data
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.graphs.runner import Runner
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import PartGraph, Split

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
    given: dict[Path, list[Feed]] = field(default_factory=dict)  # by artefacts of parts that read no other part

    def chain_rows(self, paths: Mapping[str, Mapping[Precision, Path]], precision: Precision) -> list[ParityRow]:
        """The whole against the model's origin, decoded outputs too."""
        states = {state.name: state.output for state in self.model.spec.states}
        made = [sources_of(feed, states) for feed in self.data.unseen]
        for part in self.split.parts:
            for values, given in zip(made, self._outputs(part, paths[part.name], precision, made), strict=True):
                values |= {f"part:{part.name}.{name}": value for name, value in given.items()}
        got = [{name: values[source] for name, source in self.split.outputs.items()} for values in made]
        tolerance = self.recipe.tolerance_of(precision)
        rows = compare_all("chain", precision, got, self.reference, tolerance, self.data.kind)
        labelled = [sources_of(sample.feed, states) for sample in self.data.labelled]
        if labelled:
            run_one_by_one(self.split.parts, lambda part: self._opened(paths[part.name], precision), labelled)
        answers = [{name: values[source] for name, source in self.split.outputs.items()} for values in labelled]
        for output in self.model.spec.outputs:
            share = agreement(output, got, self.reference)
            right = accuracy(output, answers, self.data.labelled)
            for place, row in enumerate(rows):
                if row.tensor in output.reads.values():
                    passed = row.passed and (share >= self.recipe.agreement or self.data.kind == "random")
                    rows[place] = msgspec.structs.replace(row, agreement=share, accuracy=right, passed=passed)
        return rows

    def _outputs(
        self, part: PartGraph, there: Mapping[Precision, Path], precision: Precision, made: list[dict[str, Array]]
    ) -> list[Feed]:
        """What the part gives in this precision, or in what stands in for it."""
        path = there[stand_in(there, precision)]
        if path in self.given:
            return self.given[path]
        given = run_all(self._opened(there, precision), [part_feed(part.reads, values) for values in made])
        if part.stands_alone:
            self.given[path] = given
        return given

    def _opened(self, there: Mapping[Precision, Path], precision: Precision) -> Runner:
        found = stand_in(there, precision)
        return open_artefact(there[found], found, threads=ALL_CORES)

    def part_rows(self, paths: Mapping[str, Mapping[Precision, Path]]) -> list[ParityRow]:
        """Every part on its own, fed with what the fp32 parts before it gave."""
        rows = []
        for part in self.split.parts:
            wanted = [part_outputs(part, values) for values in self.made]
            for precision, path in paths[part.name].items():
                if precision == "fp32":
                    continue
                got = self._outputs(part, {precision: path}, precision, self.made)
                tolerance = self.recipe.tolerance_of(precision)
                rows += compare_all(f"part:{part.name}", precision, got, wanted, tolerance, self.data.kind)
        return rows
