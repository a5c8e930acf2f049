"""The search: every engine and precision first, then threads and moments in flight of the best, then the best against
the safe choice in turns.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from mm_edge.cores import usable_cores
from mm_edge.errors import MmEdgeError
from mm_edge.runtime.engines.selection.alternatives import SAFE, engines, precisions, with_changes
from mm_edge.runtime.engines.selection.choice import DEFAULT_DEPTH
from mm_edge.runtime.engines.selection.select_engine import select_engine
from mm_edge.runtime.engines.selection.tuned import Tuned, machine_of
from mm_edge.runtime.session.engine.answers import can_be_compared, same_answers

from .load import Load
from .trial import Trial, joined, try_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.runtime.engines.selection.choice import Choice
    from mm_edge.runtime.engines.selection.tuned import Goal

SHORTEST_TRIAL_S = 0.6
FINAL_ROUNDS = 2
CLOSE = 1.15  # a way within this ratio of the best is tried with other threads as well
WORTHWHILE = 0.97  # of the safe choice's value; below the scatter of short trials nothing is gained


class Result(Struct):
    """`trials`: everything that was tried, the best first."""

    tuned: Tuned
    trials: list[Trial]


class Search:
    """`progress(seconds, trial)` is called before each trial, with the time spent so far."""

    def __init__(self, bundle: Bundle, goal: Goal, budget_s: float, progress: Callable[[float, str], None]) -> None:
        self._bundle, self._goal, self._progress = bundle, goal, progress
        self._began_s = time.monotonic()
        self._until_s = self._began_s + budget_s
        self._load = Load(bundle.manifest)
        self._trials: dict[str, list[Trial]] = {}
        self._loading_s: dict[str, float] = {}  # of the last trial, by engine

    def run(self) -> Result:
        first = self._engines_and_precisions()
        self._round(first, share=0.4)
        others = self._threads_and_depths()
        self._round(others, share=0.5)
        rivals = [trial.choice for trial in self._ranked()[:2] if not trial.why_not]
        finalists = [SAFE, *(choice for choice in rivals if choice != SAFE)]
        if len(finalists) > 1:
            # The first trial of each had its share of a cold cache; in the final all take turns.
            for choice in finalists:
                self._trials[str(choice)] = []
            for number in range(FINAL_ROUNDS):
                self._round(finalists, share=1 / (FINAL_ROUNDS - number))
        return self._result(finalists)

    def every_way(self) -> list[Choice]:
        """What an exhaustive search would try, the safe choice first."""
        return [way for choice in self._engines_and_precisions() for way in (choice, *_sizes(choice))]

    def _engines_and_precisions(self) -> list[Choice]:
        manifest = self._bundle.manifest
        found = precisions(manifest, SAFE)
        if not can_be_compared(manifest):
            return found  # nothing would show that another engine gives the same answers
        for choice in engines(DEFAULT_DEPTH):
            for each in precisions(manifest, choice):
                if reason := self._refusal(each):
                    self._trials[str(each)] = [Trial(each, why_not=reason)]
                else:
                    found.append(each)
        return found

    def _refusal(self, choice: Choice) -> str:
        try:
            selected = select_engine(self._bundle, choice.config, depth=choice.depth)
        except MmEdgeError as error:
            return str(error)
        try:
            if selected.fallbacks:
                return "; ".join(selected.fallbacks)
            same = same_answers(self._bundle, selected)
            return "" if same else "its outputs decode to other answers than the export's"
        finally:
            selected.close()

    def _threads_and_depths(self) -> list[Choice]:
        ranked = [trial for trial in self._ranked() if not trial.why_not]
        if not ranked:
            return []
        best = ranked[0].score(self._goal)
        near = [trial.choice for trial in ranked[:2] if trial.score(self._goal) <= CLOSE * best]
        return [sized for choice in near for sized in _sizes(choice)]

    def _round(self, choices: list[Choice], share: float) -> None:
        """One trial of each, in `share` of the time that is left."""
        planned_s = max(0.0, self._until_s - time.monotonic()) * share
        for choice in choices:
            began_s = time.monotonic()
            self._progress(began_s - self._began_s, str(choice))
            seconds = max(SHORTEST_TRIAL_S, planned_s / len(choices) - self._loading_s.get(choice.engine, 0.0))
            trial = try_choice(self._bundle, self._load, choice, self._goal, seconds)
            self._trials.setdefault(str(choice), []).append(trial)
            self._loading_s[choice.engine] = max(0.0, time.monotonic() - began_s - seconds)

    def _ranked(self) -> list[Trial]:
        return sorted((joined(trials) for trials in self._trials.values() if trials), key=lambda t: t.score(self._goal))

    def _result(self, finalists: list[Choice]) -> Result:
        final = {str(choice) for choice in finalists}
        ranked = self._ranked()
        safe = next(trial for trial in ranked if trial.choice == SAFE)
        best = next((trial for trial in ranked if str(trial.choice) in final), safe)
        gain = best.score(self._goal) / safe.score(self._goal)
        if gain > WORTHWHILE:
            best, gain = safe, 1.0
        tuned = Tuned(
            bundle=self._bundle.manifest.name,
            goal=self._goal,
            choice=best.choice,
            gain=round(gain, 3),
            origin="tune",
            machine=machine_of(),
            loss=best.loss,
        )
        return Result(tuned, ranked)


def _sizes(choice: Choice) -> list[Choice]:
    """The choice with other threads of a part and moments in flight."""
    cores = usable_cores()
    sizes = [(cores, 1)] if cores > 1 else []
    sizes += [(1, 1), (1, DEFAULT_DEPTH + 1)]
    return [with_changes(choice, threads=threads, depth=depth) for threads, depth in sizes]
