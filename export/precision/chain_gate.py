"""Proves one precision of the whole; where that loses too much, keeps more of it wider, or leaves the precision out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mm_edge.export.package.made import NO_FASTER
from mm_edge.export.verify.chain_parity import stand_in
from mm_edge.export.verify.parity import worst

from .chain_search import ChainSearch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.bundle.manifest import ParityRow, Precision
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.package.made import Made
    from mm_edge.export.verify.chain_parity import ChainProof

    from .chain_search import Place
    from .part_search import Candidate, PartWork

# Of those that the search looks at; the proof looks at unseen ones. Few answers of many change, so four tell little.
CHAIN_SAMPLES, CHAIN_SAMPLES_OF_LARGE = 32, 4
MARGINS = (0.9, 0.6, 0.35, 0.2)  # of the tolerance, in the search; the next one where unseen samples lost more
LEFT_OUT = "left out: the whole would lose too much"


@dataclass
class WholeProof:
    """What proving takes. `samples`: what the fp32 parts took and gave on what the searches look at."""

    made: Made
    chain: ChainProof
    works: Mapping[str, PartWork]
    samples: Sequence[Mapping[str, Array]]
    _guess: frozenset[Place] = frozenset()
    _given: dict[Precision, dict[tuple[object, ...], list[Feed]]] = field(default_factory=dict)

    def prove(self, precision: Precision) -> list[ParityRow]:
        """The rows of the whole. `auto` leaves out what nothing mends, and the rows that failed tell why.

        What was asked for by name stays: its failed rows stop the export at the gate.
        """
        first = rows = self.chain.chain_rows(self.made.paths, precision)
        for margin in MARGINS:
            if _passed(rows):
                return rows
            self._widen(precision, margin)
            if not self.made.has(precision):
                break
            rows = self.chain.chain_rows(self.made.paths, precision)
        if self.made.has(precision) and _passed(rows):
            return rows
        if not self.chain.recipe.precisions:
            self._leave_out(precision, first)
        return first

    def _widen(self, precision: Precision, margin: float) -> None:
        """Keeps parts, and nodes of parts, in a wider type until the whole is within `margin` of the tolerance."""
        packed, wider = self.made.packed(precision), {}
        for part in self.chain.split.parts:
            there = {name: path for name, path in self.made.paths[part.name].items() if name != precision}
            wider[part.name] = (stand_in(there, precision), there[stand_in(there, precision)])
        search = ChainSearch(
            self.chain.model,
            self.chain.split,
            precision,
            self.works,
            packed,
            wider,
            self.samples[
                : CHAIN_SAMPLES_OF_LARGE if any(work.large for work in self.works.values()) else CHAIN_SAMPLES
            ],
            guess=self._guess if precision.startswith("int8") else frozenset(),
            given=self._given.setdefault(precision, {}),
        )
        found = search.kept_by_part(self.chain.recipe.tolerance_of(precision) * margin)
        if found is None:
            return
        if self._other_form(packed, found):
            self._given.pop(precision)  # by nodes, whatever the form
            return
        if precision.startswith("int8"):
            self._guess = search.guess  # what one kind of int8 needs is the first guess for the other
        for name, candidate in packed.items():
            if self.works[name].hardly_pays(precision, found[name]):
                self.made.drop(candidate, LEFT_OUT)
                self.made.notes.append(
                    f"'{name}' has no {precision}, because the whole would lose too much; it runs in {wider[name][0]}"
                )
            elif found[name] != candidate.kept:
                self._replace(candidate, found[name], search)

    def _other_form(self, packed: Mapping[str, Candidate], found: Mapping[str, frozenset[str]]) -> bool:
        """Where keeping nodes in fp32 does not help: the form that rounds between them too becomes the one that does
        not, and the search may begin again.
        """
        stuck = [
            candidate
            for name, candidate in packed.items()
            if candidate.form == "integers" and self.works[name].hardly_pays(candidate.precision, found[name])
        ]
        for candidate in stuck:
            self._put_in_place(candidate, self.works[candidate.part].widened(candidate, candidate.kept, "heavy"))
            self.made.notes.append(
                f"'{candidate.part}' in {candidate.precision} is rounded around heavy nodes only, because the whole "
                "lost too much"
            )
        return bool(stuck)

    def _replace(self, candidate: Candidate, kept: frozenset[str], search: ChainSearch) -> None:
        replaced = self.works[candidate.part].widened(candidate, kept, candidate.form)
        replaced.trials, replaced.stopped = candidate.trials + search.trials, candidate.stopped or search.stopped
        self._put_in_place(candidate, replaced)
        more = len(kept - candidate.kept)
        self.made.notes.append(
            f"'{candidate.part}' in {candidate.precision} keeps {more} more node{'s' * (more > 1)} in fp32, "
            "because the whole lost too much"
        )

    def _put_in_place(self, candidate: Candidate, replaced: Candidate) -> None:
        self.made.drop(candidate, "")
        self.made.candidates.remove(candidate)
        self.made.accept(replaced, self.chain.recipe)
        if self.chain.split.part(candidate.part).stands_alone and replaced.given is not None:
            self.chain.given[replaced.path] = replaced.given

    def _leave_out(self, precision: Precision, failed: list[ParityRow]) -> None:
        for candidate in self.made.packed(precision).values():
            self.made.drop(candidate, LEFT_OUT)
        self.made.left_out.add(precision)
        slow = any(item.precision == precision and item.note == NO_FASTER for item in self.made.candidates)
        why = "is no faster" if slow else "is not within tolerance either"
        row = worst([row for row in failed if not row.passed])
        same = "" if row.agreement is None else f", {row.agreement:.0%} of the answers stay the same"
        self.made.notes.append(
            f"{precision} is left out: '{row.tensor}' of the whole would have the relative error "
            f"{row.relative_error:.3g}{same}, and with more of it in a wider type it {why}"
        )


def _passed(rows: Sequence[ParityRow]) -> bool:
    return all(row.passed for row in rows)
