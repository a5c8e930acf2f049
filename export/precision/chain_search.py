"""Searches for what must stay in a wider type so that the whole model passes: parts first, then nodes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from mm_edge.export.graphs.runner import ALL_CORES, Runner, open_artefact
from mm_edge.export.verify.parity import compare_all
from mm_edge.runtime.decode.agreement import agreement

from .part_search import FAILED, LARGE_TRIALS
from .remainder import MOST_TRIALS, Search, smallest_remainder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.package.verified_model import Candidate
    from mm_edge.export.split.partition import PartGraph, SplitModel

    from .part_search import PartSearch

Place: TypeAlias = tuple[str, str]  # a part and one of its nodes
WORST = 1e6  # a loss that counts as infinite, and can be multiplied


@dataclass
class ChainSearch:
    """One precision of the whole model. A part's outputs are computed once for each choice of nodes up to it."""

    split: SplitModel
    precision: Precision
    searches: Mapping[str, PartSearch]
    candidates: Mapping[str, Candidate]  # of the parts that have the precision
    wider: Mapping[str, tuple[Precision, Path]]  # the precision and file of each part without it
    samples: Sequence[Mapping[str, Array]]  # all values of the fp32 chain, by reference
    guess: frozenset[Place] = frozenset()  # to try first
    known: dict[tuple[object, ...], list[Feed]] = field(default_factory=dict)  # outputs by part and the nodes kept
    trials: int = 0
    stopped: bool = False
    _open: dict[str, tuple[frozenset[str], Runner]] = field(default_factory=dict)

    def kept_by_part(self, tolerance: float) -> dict[str, frozenset[str]] | None:
        """The nodes of each part to keep wider; None when the model fails even without the precision."""
        searches = [self.searches[name] for name in self.candidates]
        search: Search[Place] = Search(
            lambda places: self.loss(self._by_part(places)),
            tolerance,
            seconds=searches[0].recipe.search_seconds,
            most_trials=LARGE_TRIALS if any(item.large for item in searches) else MOST_TRIALS,
        )
        guess = self.guess & self._places
        kept = guess if guess and search.passes(guess) else smallest_remainder(self._ranked(search), search)
        self.trials, self.stopped = search.trials, search.stopped
        if kept is None:
            return None
        self.guess = kept
        return self._by_part(kept)

    def _ranked(self, search: Search[Place]) -> list[Place]:
        """First the nodes that gain most for their work: the error of a part is distributed among its nodes."""
        everything = self._places
        weighed: list[tuple[float, Place]] = []
        for name, candidate in self.candidates.items():
            own = {place for place in everything if place[0] == name}
            alone = min(search.loss(everything - own), WORST)
            found = self.searches[name].sensitivities(self.precision)
            nodes = [item for item in found if item.node not in candidate.kept]
            total = sum(item.loss**2 for item in nodes)
            for item in nodes:
                share = item.loss**2 / total if isfinite(total) and total else float(not isfinite(item.loss))
                weighed.append((alone**2 * share / max(item.work, 1.0), (name, item.node)))
        order = [place for _, place in sorted(weighed, key=lambda pair: -pair[0])]
        return order + sorted(everything - set(order))

    @cached_property
    def _places(self) -> frozenset[Place]:
        return frozenset(
            (name, node)
            for name, candidate in self.candidates.items()
            for node in self.searches[name].reducible(self.precision)
            if node not in candidate.kept
        )

    def _by_part(self, pairs: Iterable[Place]) -> dict[str, frozenset[str]]:
        kept = {name: set(candidate.kept) for name, candidate in self.candidates.items()}
        for name, node in pairs:
            kept[name].add(node)
        return {name: frozenset(nodes) for name, nodes in kept.items()}

    def loss(self, kept: Mapping[str, frozenset[str]]) -> float:
        """The relative error of the worst output and sample, plus the share of decoded answers that changed."""
        wanted = [self.split.outputs_of(sample) for sample in self.samples]
        got = [self.split.outputs_of(values) for values in self._chain(kept)]
        rows = compare_all("chain", self.precision, got, wanted, FAILED, "calibration")
        same = min(agreement(output, got, wanted) for output in self.split.source.spec.outputs)
        return max(row.relative_error for row in rows) + (1 - same)

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
            if key not in self.known:
                runner = self._runner(part, kept.get(part.name))
                self.known[key] = [runner(part.feed(values)) for values in fed]
            for values, outputs in zip(fed, self.known[key], strict=True):
                values.update(part.by_reference(outputs))
        yield from fed

    def _runner(self, part: PartGraph, kept: frozenset[str] | None) -> Runner:
        """The last one of a part that reads others stays open: it runs again for every choice in those."""
        if part.stands_alone:
            return self._opened(part, kept)
        nodes = kept or frozenset()
        if part.name not in self._open or self._open[part.name][0] != nodes:
            self._open.pop(part.name, None)
            self._open[part.name] = nodes, self._opened(part, kept)
        return self._open[part.name][1]

    def _opened(self, part: PartGraph, kept: frozenset[str] | None) -> Runner:
        search = self.searches[part.name]
        if kept is None or search.nothing_is_left(self.precision, kept):
            precision, path = self.wider[part.name]
            return open_artefact(path, precision, threads=ALL_CORES)
        return Runner(search.trial(self.candidates[part.name], kept), threads=ALL_CORES)
