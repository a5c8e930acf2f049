"""Repairs a precision in which the whole model loses too much: keeps more of it wider, or leaves the precision out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mm_edge.export.verify.chain import stand_in
from mm_edge.export.verify.parity import passed, worst

from .candidates import NO_FASTER
from .chain_search import ChainSearch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.bundle.manifest import ParityRow, Precision
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.package.verified_model import Candidate
    from mm_edge.export.verify.chain import ChainVerifier

    from .candidates import Candidates
    from .chain_search import Place
    from .part_search import PartSearch

# Of the samples of the search; verification uses unseen ones. Few answers change, so four samples say little.
CHAIN_SAMPLES, CHAIN_SAMPLES_OF_LARGE = 32, 4
MARGINS = (0.9, 0.6, 0.35, 0.2)  # of the tolerance, in the search; the next one when unseen samples lost more
LEFT_OUT = "left out: the whole model would lose too much"


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
        kept = search.kept_by_part(recipe.tolerance_of(precision) * margin)
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
