"""Finds what must stay in a wider type so that the whole passes: parts first, then blocks of nodes of those parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .agreement import agreement
from .candidates import FAILED, LARGE_PARAMETERS, LARGE_SEARCH
from .chain import part_feed
from .parity import compare_all
from .remainder import Search, smallest_remainder
from .rounding import as_rounded
from .runner import Runner, open_artefact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mm_edge.manifest import Precision

    from .candidates import Candidate, PartWork
    from .feeds import Array, Feed
    from .model import SourceModel
    from .partition import PartGraph, Split


@dataclass
class ChainSearch:
    """One precision of the whole. What a part gives is computed once for each choice of nodes up to it."""

    model: SourceModel
    split: Split
    precision: Precision
    works: Mapping[str, PartWork]
    candidates: Mapping[str, Candidate]  # of the parts that have the precision
    wider: Mapping[str, tuple[Precision, Path]]  # what each part runs in without it
    samples: Sequence[Mapping[str, Array]]  # what the fp32 parts took and gave
    trials: int = 0
    _given: dict[tuple[object, ...], list[Feed]] = field(default_factory=dict)
    _runners: dict[str, tuple[frozenset[str], Runner]] = field(default_factory=dict)

    def kept_by_part(self, tolerance: float) -> dict[str, frozenset[str]] | None:
        """The nodes of each part to keep wider; None when even without the precision the whole loses too much."""
        places = {
            f"{name}/{node}": (name, node)
            for name, candidate in self.candidates.items()
            for node in self.works[name].reducible(self.precision)
            if node not in candidate.kept
        }
        blocks = [[key for key, (owner, _) in places.items() if owner == name] for name in self.candidates]
        blocks = [block for block in blocks if block]

        def loss_of(kept: frozenset[str]) -> float:
            return self.loss(self._by_part([places[key] for key in kept]))

        search = Search(loss_of, tolerance)
        if any(self.works[name].part.parameters >= LARGE_PARAMETERS for name in self.candidates):
            search.most_blocks, search.most_trials = LARGE_SEARCH
        kept = smallest_remainder(list(places), search, blocks if len(blocks) > 1 else ())
        self.trials += search.trials
        return None if kept is None else self._by_part([places[key] for key in kept])

    def _by_part(self, pairs: list[tuple[str, str]]) -> dict[str, frozenset[str]]:
        kept = {name: set(candidate.kept) for name, candidate in self.candidates.items()}
        for name, node in pairs:
            kept[name].add(node)
        return {name: frozenset(nodes) for name, nodes in kept.items()}

    def loss(self, kept: Mapping[str, frozenset[str]]) -> float:
        """The relative error of the worst output and sample, and the share of decoded answers that changed."""
        wanted = [self._outputs(sample) for sample in self.samples]
        got = [self._outputs(values) for values in self._chain(kept)]
        rows = compare_all("chain", self.precision, got, wanted, FAILED, "calibration")
        same = min(agreement(output, got, wanted) for output in self.model.spec.outputs)
        return max(row.relative_error for row in rows) + (1 - same)

    def _outputs(self, values: Mapping[str, Array]) -> Feed:
        return {name: values[source] for name, source in self.split.outputs.items()}

    def _chain(self, kept: Mapping[str, frozenset[str]]) -> Iterator[dict[str, Array]]:
        fed: list[dict[str, Array]] = [
            {source: value for source, value in sample.items() if not source.startswith("part:")}
            for sample in self.samples
        ]
        path: tuple[object, ...] = ()
        for part in self.split.parts:
            # An encoder reads no other part: what it gives depends on its own nodes alone.
            own = (part.name, kept.get(part.name))
            path = (*path, own)
            key = own if part.kind == "encode" else path
            if key not in self._given:
                runner = self._runner(part, kept.get(part.name))
                self._given[key] = [runner(part_feed(part.reads, values)) for values in fed]
            for values, given in zip(fed, self._given[key], strict=True):
                values |= {f"part:{part.name}.{name}": value for name, value in given.items()}
        yield from fed

    def _runner(self, part: PartGraph, kept: frozenset[str] | None) -> Runner:
        """The last one of each part is held: the fusion runs again for every choice in an encoder."""
        nodes = kept or frozenset()
        if part.name not in self._runners or self._runners[part.name][0] != nodes:
            self._runners.pop(part.name, None)
            self._runners[part.name] = nodes, self._opened(part, kept)
        return self._runners[part.name][1]

    def _opened(self, part: PartGraph, kept: frozenset[str] | None) -> Runner:
        work, threads = self.works[part.name], self.works[part.name].recipe.threads
        if kept is None or work.nothing_is_left(self.precision, kept):
            precision, path = self.wider[part.name]
            return open_artefact(path, precision, threads=threads)
        graph = work.trial(self.candidates[part.name], kept)
        return Runner(as_rounded(graph) if self.precision == "fp16" else graph, threads=threads)
