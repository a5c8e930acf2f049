"""Holds a run against the file of an earlier one: what got worse, by how much, and how sure that is.

Figures are compared in yards: in units of the yardstick that was timed beside each round, so that a machine that is
slower today is not taken for a slower program. What was timed in the same turns moves together when the machine's
mood changes in a way that the yardstick does not feel; so of those figures the common movement, the median of all, is
judged as one line of its own, with more patience, and each figure by what it moves against the others. A figure is
accused where it is worse by more than `LEAST_CHANGE` and chance would explain the difference in less than `CHANCE` of
all benches, whatever number of figures a bench has (Holm's correction).
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Literal

import msgspec

from mm_edge.errors import UsageError
from mm_edge.spec import Strict

from .interval import BETWEEN_RUNS, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .figure import Figure, Report

CHANCE = 0.05  # that a bench accuses anybody although nothing has changed
LEAST_CHANGE = 0.025  # smaller ones are nobody's trouble
FEWEST_ROUNDS = 4  # below, a scatter says nothing
FEWEST_TOGETHER = 4  # figures of the same turns, for their median to be that of the machine and not of one of them
AGAINST_OTHERS = 0.005  # what changes from run to run between figures of the same turns (benchmarks/proving.py)

Verdict = Literal["worse", "better", "same"]


class Change(Strict, frozen=True):
    """One figure then and now. `ratio` is now over then in yards, above 1 for worse; `chance` is the p-value after the
    correction.
    """

    key: str
    unit: str
    then: float
    now: float
    ratio: float
    low: float
    high: float
    chance: float
    verdict: Verdict


def compare(then: Report, now: Report) -> list[Change]:
    """Every figure that both have and that has a direction, the worst first. An UsageError where they cannot be
    compared.
    """
    for what, before, here in (
        ("the kind of machine", then.machine.kind, now.machine.kind),
        ("the engine and its precisions", str(then.engine.get("precision")), str(now.engine.get("precision"))),
    ):
        if before != here:
            raise UsageError(
                f"{what} was {before} and is {here}", asked="comparing with the baseline", todo="Measure a new baseline"
            )
    earlier = {figure.key: figure for figure in then.figures}
    pairs = [(earlier[figure.key], figure) for figure in now.figures if figure.key in earlier]
    pairs = [(before, here) for before, here in pairs if _can_be_judged(before) and _can_be_judged(here)]
    changes: list[Change] = []
    for scenario in dict.fromkeys(here.scenario for _, here in pairs):
        of_it = [pair for pair in pairs if pair[1].scenario == scenario]
        first_then, first_now = of_it[0]
        together = [pair for pair in of_it if _in_turns(pair[0], first_then) and _in_turns(pair[1], first_now)]
        if len(together) >= FEWEST_TOGETHER:
            changes += _against_each_other(scenario, together)
            of_it = [pair for pair in of_it if pair not in together]
        changes += [
            _change(here, before.value, here.value, _logs(before), _logs(here), between_runs=BETWEEN_RUNS)
            for before, here in of_it
        ]
    return sorted(_corrected(changes), key=lambda change: -change.ratio)


def _can_be_judged(figure: Figure) -> bool:
    return figure.better != "neither" and len(figure.rounds) >= FEWEST_ROUNDS and min(figure.rounds) > 0


def _in_turns(figure: Figure, first: Figure) -> bool:
    """Whether both were timed in the same turns: milliseconds, each round with a pace."""
    return figure.unit == "ms" and len(figure.rounds) == len(first.rounds) == len(figure.pace_us)


def _logs(figure: Figure) -> list[float]:
    """Rounds in yards, as logarithms in which more is worse."""
    side = -1 if figure.better == "more" else 1
    return [side * math.log(value) for value in figure.yards]


def _against_each_other(scenario: str, pairs: Sequence[tuple[Figure, Figure]]) -> list[Change]:
    """The common movement, and each figure's against it."""
    then, now = ([_logs(pair[position]) for pair in pairs] for position in (0, 1))
    common_then, common_now = ([statistics.median(each) for each in zip(*logs, strict=True)] for logs in (then, now))
    middle = pairs[0][1]
    common = _change(middle, 1.0, 1.0, common_then, common_now, between_runs=BETWEEN_RUNS)
    changes = [msgspec.structs.replace(common, key=f"{scenario}/all together", unit="", now=common.ratio)]
    for (before, here), logs_then, logs_now in zip(pairs, then, now, strict=True):
        own_then = [own - all_ for own, all_ in zip(logs_then, common_then, strict=True)]
        own_now = [own - all_ for own, all_ in zip(logs_now, common_now, strict=True)]
        changes.append(_change(here, before.value, here.value, own_then, own_now, between_runs=AGAINST_OTHERS))
    return changes


def _change(
    figure: Figure,
    value_then: float,
    value_now: float,
    logs_then: Sequence[float],
    logs_now: Sequence[float],
    *,
    between_runs: float,
) -> Change:
    log = statistics.median(logs_now) - statistics.median(logs_then)
    # The two runs' own scatter, and what no single run can see.
    own = [scatter([math.exp(value) for value in logs]) for logs in (logs_then, logs_now)]
    error = math.sqrt(own[0] ** 2 + own[1] ** 2 + 2 * between_runs**2)
    chance = math.erfc(abs(log) / error / math.sqrt(2))
    low, high = (math.exp(log + side * 1.96 * error) for side in (-1, 1))
    return Change(figure.key, figure.unit, value_then, value_now, math.exp(log), low, high, chance, "same")


def _corrected(changes: Sequence[Change]) -> list[Change]:
    """Holm: the smallest chance is multiplied by the number of figures, the next by one less, and so on."""
    corrected, least = [], 0.0
    for place, change in enumerate(sorted(changes, key=lambda change: change.chance)):
        least = max(least, min(1.0, change.chance * (len(changes) - place)))
        verdict: Verdict = "same"
        if least < CHANCE and abs(math.log(change.ratio)) > math.log1p(LEAST_CHANGE):
            verdict = "worse" if change.ratio > 1 else "better"
        corrected.append(msgspec.structs.replace(change, chance=least, verdict=verdict))
    return corrected
