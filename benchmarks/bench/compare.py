"""Holds a run against the file of an earlier one: what got worse, by how much, and how sure that is.

A figure that took turns of milliseconds with its floor is judged twice. Its ratio to the floor is sure to a percent
even beside busy neighbours, and tells what the code around the engine adds. Its own value tells the rest (a heavier
graph, another engine) as surely as the machine lets it: in yards, where the yardstick was timed beside each round, so
that a machine that is slower today is not taken for a slower program. Accused is what is worse by more than
`LEAST_CHANGE` where chance would explain it in less than `CHANCE` of all benches, whatever number of figures a bench
has (Holm's correction).
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Literal

import msgspec

from mm_edge.errors import UsageError
from mm_edge.spec import Strict

from .interval import error_of, ratio_error, run_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .figure import Figure, Floor, Report

CHANCE = 0.05  # that a bench accuses anybody although nothing has changed
LEAST_CHANGE = 0.025  # smaller ones are nobody's trouble
FEWEST_ROUNDS = 4  # below, a scatter says nothing
TO_FLOOR = " to its floor"
ACROSS_95 = 1.96
PACE_DOUBT = 0.5  # of a difference between two paces: how unlike the yardstick a part may follow it

Verdict = Literal["worse", "better", "same"]


class Change(Strict, frozen=True):
    """One figure then and now. `ratio` is now over then, at the same pace of the machine, above 1 for worse; `chance`
    is the p-value after the correction.
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
                f"{what} was {before} and is {here}",
                action="comparing with the baseline",
                hint="Measure a new baseline",
            )
    earlier = {figure.key: figure for figure in then.figures}
    changes: list[Change] = []
    for figure in now.figures:
        same = earlier.get(figure.key)
        if same is None or not (_can_be_judged(same) and _can_be_judged(figure)):
            continue
        changes.append(_of_values(same, figure))
        if same.floor and figure.floor and same.floor.rounds and figure.floor.rounds:
            changes.append(_of_ratios(figure.key, same.floor, figure.floor))
    return sorted(_corrected(changes), key=lambda change: (change.verdict != "worse", -change.ratio))


def _can_be_judged(figure: Figure) -> bool:
    return figure.better != "neither" and len(figure.rounds) >= FEWEST_ROUNDS and min(figure.rounds) > 0


def _of_values(then: Figure, now: Figure) -> Change:
    if now.statistic == "best":
        # A run may never have met the machine's quicker pace: the yardstick tells, and as much is left in doubt.
        pace = math.log(min(now.pace_us) / min(then.pace_us)) if then.pace_us and now.pace_us else 0.0
        log = math.log(now.value / then.value) - pace
        errors = (error_of(then.low, then.high), math.hypot(error_of(now.low, now.high), pace * PACE_DOUBT))
    elif then.pace_us and now.pace_us:
        log = _middle(now.yards) - _middle(then.yards)
        errors = (run_error(then.yards), run_error(now.yards))
    else:
        log = math.log(now.value / then.value)
        errors = (error_of(then.low, then.high), error_of(now.low, now.high))
    side = -1 if now.better == "more" else 1
    return _change(now.key, now.unit, (then.value, now.value), side * log, errors)


def _of_ratios(key: str, then: Floor, now: Floor) -> Change:
    log = _middle(now.rounds) - _middle(then.rounds)
    errors = (ratio_error(then.rounds), ratio_error(now.rounds))
    return _change(key + TO_FLOOR, "", (then.ratio, now.ratio), log, errors)


def _middle(values: Sequence[float]) -> float:
    return math.log(statistics.median(values))


def _change(key: str, unit: str, values: tuple[float, float], log: float, errors: tuple[float, float]) -> Change:
    error = math.hypot(*errors)
    chance = math.erfc(abs(log) / error / math.sqrt(2))
    low, high = (math.exp(log + side * ACROSS_95 * error) for side in (-1, 1))
    return Change(key, unit, *values, math.exp(log), low, high, chance, "same")


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
