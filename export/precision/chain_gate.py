"""Verifies the whole model in every precision, repairs one that loses too much, and chooses what `auto` runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from mm_edge.bundle.manifest import Calibration
from mm_edge.export.graphs.runner import ALL_CORES, Runner, open_artefact, race
from mm_edge.export.package.verified_model import VerifiedModel
from mm_edge.export.verify.parity import ChainVerifier, compare_all, gate, passed, stand_in, tolerance_of, worst
from mm_edge.runtime.decode.agreement import agreement

from .candidates import LEAST_GAIN, NO_FASTER, REDUCED
from .part_search import FAILED, LARGE_TRIALS
from .remainder import MOST_TRIALS, Search, smallest_remainder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mm_edge.bundle.manifest import Family, ParityRow, Precision
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.model import Dataset
    from mm_edge.export.package.verified_model import Candidate
    from mm_edge.export.split.partition import PartGraph, SplitModel
    from mm_edge.export.workspace import Workspace

    from .candidates import Candidates
    from .part_search import PartSearch


GPU_NOTE = (
    "on a GPU `auto` uses fp16: its error was measured here, its speed was not; `mm-edge bench` on the device measures "
    "both"
)
# Of the samples of the search; verification uses unseen ones. Few answers change, so four samples say little.
CHAIN_SAMPLES, CHAIN_SAMPLES_OF_LARGE = 32, 4
MARGINS = (0.9, 0.6, 0.35, 0.2)  # of the tolerance, in the search; the next one when unseen samples lost more
LEFT_OUT = "left out: the whole model would lose too much"


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
    gate([row for row in parity if row.precision not in left_out], recipe, split.makers())
    return _verified(candidates, dataset, parity)


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


@dataclass
class ChainGate:
    """What a repair needs. `samples`: all values of the fp32 chain for the samples of the searches."""

    verifier: ChainVerifier
    searches: Mapping[str, PartSearch]
    samples: Sequence[Mapping[str, Array]]
    _guess: frozenset[Place] = frozenset()
    _known: dict[Precision, dict[tuple[object, ...], list[Feed]]] = field(default_factory=dict)

    def repair(
        self, candidates: Candidates, precision: Precision, failed: list[ParityRow]
    ) -> tuple[Candidates, list[ParityRow]]:
        """The candidates and parity rows after the repair, with the rows `failed` when it did not succeed.

        `auto` then leaves the precision out. One that was requested by name stays, and its failed rows stop the export.
        """
        for margin in MARGINS:
            candidates = self._widened(candidates, precision, margin)
            if not candidates.packed(precision):
                break
            rows = self.verifier.chain_rows(candidates.paths(), precision)
            if passed(rows):
                return candidates, rows
        if not candidates.recipe.precisions:
            candidates = _left_out(candidates, precision, failed)
        return candidates, failed

    def _widened(self, candidates: Candidates, precision: Precision, margin: float) -> Candidates:
        """Keeps parts, and nodes of parts, in a wider type until the model is within `margin` of the tolerance."""
        split, recipe = candidates.split, candidates.recipe
        packed, wider = candidates.packed(precision), {}
        for name, paths in candidates.paths().items():
            others = {other: path for other, path in paths.items() if other != precision}
            wider[name] = (stand_in(others, precision), others[stand_in(others, precision)])
        large = any(search.large for search in self.searches.values())
        search = ChainSearch(
            split,
            precision,
            self.searches,
            packed,
            wider,
            self.samples[: CHAIN_SAMPLES_OF_LARGE if large else CHAIN_SAMPLES],
            guess=self._guess if precision.startswith("int8") else frozenset(),
            known=self._known.setdefault(precision, {}),
        )
        kept = search.kept_by_part(tolerance_of(recipe, precision) * margin)
        if kept is None:
            return candidates
        if stuck := self._stuck(packed, kept):
            self._known.pop(precision)  # its keys name nodes, whatever the form
            return self._in_another_form(candidates, stuck)
        if precision.startswith("int8"):
            self._guess = search.guess  # what one kind of int8 needs is the first guess for the other
        for name, candidate in packed.items():
            if self.searches[name].hardly_pays(precision, kept[name]):
                candidates = candidates.leave_out(candidate, LEFT_OUT).note(
                    f"'{name}' has no {precision}, because the whole model would lose too much; "
                    f"it runs in {wider[name][0]}"
                )
            elif kept[name] != candidate.kept:
                candidates = self._keeping_more(candidates, candidate, kept[name], search)
        return candidates

    def _stuck(self, packed: Mapping[str, Candidate], kept: Mapping[str, frozenset[str]]) -> list[Candidate]:
        """Candidates that nodes in fp32 do not help, of the form that also rounds between nodes."""
        return [
            candidate
            for name, candidate in packed.items()
            if candidate.form == "integers" and self.searches[name].hardly_pays(candidate.precision, kept[name])
        ]

    def _in_another_form(self, candidates: Candidates, stuck: Sequence[Candidate]) -> Candidates:
        """In the form that rounds around heavy nodes only; the search may then start again."""
        for candidate in stuck:
            widened = self.searches[candidate.part].widened(candidate, candidate.kept, "heavy")
            candidates = self._exchanged(candidates, candidate, widened).note(
                f"'{candidate.part}' in {candidate.precision} is rounded around heavy nodes only, because the whole "
                "model lost too much"
            )
        return candidates

    def _keeping_more(
        self, candidates: Candidates, candidate: Candidate, kept: frozenset[str], search: ChainSearch
    ) -> Candidates:
        widened = self.searches[candidate.part].widened(candidate, kept, candidate.form)
        widened = replace(widened, trials=candidate.trials + search.trials, stopped=candidate.stopped or search.stopped)
        more = len(kept - candidate.kept)
        return self._exchanged(candidates, candidate, widened).note(
            f"'{candidate.part}' in {candidate.precision} keeps {more} more node{'s' * (more > 1)} in fp32, "
            "because the whole model lost too much"
        )

    def _exchanged(self, candidates: Candidates, old: Candidate, new: Candidate) -> Candidates:
        if candidates.split.part(old.part).stands_alone and new.outputs is not None:
            self.verifier.known[new.path] = new.outputs
        return candidates.exchange(old, new)


def _left_out(candidates: Candidates, precision: Precision, failed: Sequence[ParityRow]) -> Candidates:
    for candidate in candidates.packed(precision).values():
        candidates = candidates.leave_out(candidate, LEFT_OUT)
    slow = any(item.precision == precision and item.left_out == NO_FASTER for item in candidates.tried)
    why = "is no faster" if slow else "is not within tolerance either"
    row = worst([row for row in failed if not row.passed])
    same = "" if row.agreement is None else f" and {row.agreement:.0%} of the answers unchanged"
    return candidates.note(
        f"{precision} is left out: '{row.tensor}' of the whole model would have relative error "
        f"{row.relative_error:.3g}{same}; with more of it in a wider type it {why}"
    )


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
