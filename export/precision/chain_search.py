"""Finds what must stay in a wider type so that the whole passes: parts first, then blocks of nodes of those parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from mm_edge.export.graphs.runner import ALL_CORES, Runner, open_artefact
from mm_edge.export.verify.agreement import agreement
from mm_edge.export.verify.chain import part_feed
from mm_edge.export.verify.parity import compare_all

from .bisect import MOST_TRIALS, Search, smallest_remainder
from .part_search import FAILED, LARGE_TRIALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.export.split.partition import PartGraph, Split

    from .part_search import Candidate, PartWork

Place: TypeAlias = tuple[str, str]  # a part and one of its nodes
WORST = 1e6  # a loss that counts as infinite, and can be multiplied


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
    guess: frozenset[Place] = frozenset()  # to try first
    given: dict[tuple[object, ...], list[Feed]] = field(default_factory=dict)  # by what was kept, for each part
    trials: int = 0
    stopped: bool = False
    _held: dict[str, tuple[frozenset[str], Runner]] = field(default_factory=dict)

    def kept_by_part(self, tolerance: float) -> dict[str, frozenset[str]] | None:
        """The nodes of each part to keep wider; None when even without the precision the whole loses too much."""
        works = [self.works[name] for name in self.candidates]
        search: Search[Place] = Search(
            lambda places: self.loss(self._by_part(places)),
            tolerance,
            seconds=works[0].recipe.search_seconds,
            most_trials=LARGE_TRIALS if any(work.large for work in works) else MOST_TRIALS,
        )
        guess = self.guess & self._places
        kept = guess if guess and search.passes(guess) else smallest_remainder(self._ranked(search), search)
        self.trials, self.stopped = search.trials, search.stopped
        if kept is None:
            return None
        self.guess = kept
        return self._by_part(kept)

    def _ranked(self, search: Search[Place]) -> list[Place]:
        """First the nodes that gain most for their work: what a part loses alone is shared out among its nodes."""
        everything = self._places
        weighed: list[tuple[float, Place]] = []
        for name, candidate in self.candidates.items():
            own = {place for place in everything if place[0] == name}
            alone = min(search.loss(everything - own), WORST)
            harms = [item for item in self.works[name].harms(self.precision) if item.node not in candidate.kept]
            total = sum(item.loss**2 for item in harms)
            for item in harms:
                part_of_it = item.loss**2 / total if isfinite(total) and total else float(not isfinite(item.loss))
                weighed.append((alone**2 * part_of_it / max(item.work, 1.0), (name, item.node)))
        order = [place for _, place in sorted(weighed, key=lambda pair: -pair[0])]
        return order + sorted(everything - set(order))

    @cached_property
    def _places(self) -> frozenset[Place]:
        return frozenset(
            (name, node)
            for name, candidate in self.candidates.items()
            for node in self.works[name].reducible(self.precision)
            if node not in candidate.kept
        )

    def _by_part(self, pairs: Iterable[Place]) -> dict[str, frozenset[str]]:
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
            own = (part.name, kept.get(part.name))
            path = (*path, own)
            key = own if part.stands_alone else path
            if key not in self.given:
                runner = self._runner(part, kept.get(part.name))
                self.given[key] = [runner(part_feed(part.reads, values)) for values in fed]
            for values, given in zip(fed, self.given[key], strict=True):
                values |= {f"part:{part.name}.{name}": value for name, value in given.items()}
        yield from fed

    def _runner(self, part: PartGraph, kept: frozenset[str] | None) -> Runner:
        """The last one of a part that reads others is held: it runs again for every choice in those."""
        if part.stands_alone:
            return self._opened(part, kept)
        nodes = kept or frozenset()
        if part.name not in self._held or self._held[part.name][0] != nodes:
            self._held.pop(part.name, None)
            self._held[part.name] = nodes, self._opened(part, kept)
        return self._held[part.name][1]

    def _opened(self, part: PartGraph, kept: frozenset[str] | None) -> Runner:
        work = self.works[part.name]
        if kept is None or work.nothing_is_left(self.precision, kept):
            precision, path = self.wider[part.name]
            return open_artefact(path, precision, threads=ALL_CORES)
        return Runner(work.trial(self.candidates[part.name], kept), threads=ALL_CORES)
