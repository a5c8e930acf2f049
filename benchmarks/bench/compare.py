"""Compares a run with a baseline: which figures regressed, by how much, and with what significance.

A figure that was timed in turns of milliseconds with its floor is compared twice. Its ratio to the floor is accurate to
about a percent even on a busy machine, and covers the code around the engine. Its value covers the rest (a heavier
graph, another engine) as accurately as the machine allows; where a reference timing was taken with each round, the
value is normalized by it, so that a slower machine does not count as a slower program. A regression is reported if a
figure is worse by more than `LEAST_CHANGE` and the change is significant at the level `SIGNIFICANCE` for the whole run
(Holm's correction for the number of figures).
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

SIGNIFICANCE = 0.05  # probability of a false report in a run without changes
LEAST_CHANGE = 0.025  # smaller changes are not reported
FEWEST_ROUNDS = 4  # to estimate a scatter
TO_FLOOR = " to its floor"
ACROSS_95 = 1.96
PACE_ERROR = 0.5  # of a speed difference: how much a part may scale differently than the reference timing

Verdict = Literal["regression", "improvement", "unchanged"]


class Change(Strict, frozen=True):
    """One figure then and now. `ratio` is now over then at the same speed of the machine, above 1 for worse; `p_value`
    is corrected for the number of figures.
    """

    key: str
    unit: str
    then: float
    now: float
    ratio: float
    low: float
    high: float
    p_value: float
    verdict: Verdict


def compare(then: Report, now: Report) -> list[Change]:
    """Every comparable figure of both runs, the worst first. UsageError if the runs cannot be compared."""
    for what, before, here in (
        ("kind of machine", then.machine.kind, now.machine.kind),
        ("precision of the parts", str(then.engine.get("precision")), str(now.engine.get("precision"))),
    ):
        if before != here:
            raise UsageError(
                f"different {what}: {before} in the baseline, {here} now",
                action="comparing with the baseline",
                hint="Measure a new baseline",
            )
    earlier = {figure.key: figure for figure in then.figures}
    changes: list[Change] = []
    for figure in now.figures:
        same = earlier.get(figure.key)
        if same is None or not (_is_comparable(same) and _is_comparable(figure)):
            continue
        changes.append(_of_values(same, figure))
        if same.floor and figure.floor and same.floor.rounds and figure.floor.rounds:
            changes.append(_of_ratios(figure.key, same.floor, figure.floor))
    return sorted(_corrected(changes), key=lambda change: (change.verdict != "regression", -change.ratio))


def _is_comparable(figure: Figure) -> bool:
    return figure.better != "neither" and len(figure.rounds) >= FEWEST_ROUNDS and min(figure.rounds) > 0


def _of_values(then: Figure, now: Figure) -> Change:
    if now.statistic == "best":
        # A run may never have seen the machine's higher speed: the reference timing corrects that, with some error.
        pace = math.log(min(now.pace_us) / min(then.pace_us)) if then.pace_us and now.pace_us else 0.0
        log = math.log(now.value / then.value) - pace
        errors = (error_of(then.low, then.high), math.hypot(error_of(now.low, now.high), pace * PACE_ERROR))
    elif then.pace_us and now.pace_us:
        log = _middle(now.normalized) - _middle(then.normalized)
        errors = (run_error(then.normalized), run_error(now.normalized))
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
    p_value = math.erfc(abs(log) / error / math.sqrt(2))
    low, high = (math.exp(log + side * ACROSS_95 * error) for side in (-1, 1))
    return Change(key, unit, *values, math.exp(log), low, high, p_value, "unchanged")


def _corrected(changes: Sequence[Change]) -> list[Change]:
    """Holm: the smallest p-value is multiplied by the number of figures, the next by one less, and so on."""
    corrected, least = [], 0.0
    for place, change in enumerate(sorted(changes, key=lambda change: change.p_value)):
        least = max(least, min(1.0, change.p_value * (len(changes) - place)))
        verdict: Verdict = "unchanged"
        if least < SIGNIFICANCE and abs(math.log(change.ratio)) > math.log1p(LEAST_CHANGE):
            verdict = "regression" if change.ratio > 1 else "improvement"
        corrected.append(msgspec.structs.replace(change, p_value=least, verdict=verdict))
    return corrected
