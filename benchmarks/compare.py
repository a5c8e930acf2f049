"""Holds a run against the file of an earlier one: what got worse, by how much, and how sure that is.

Figures are compared in yards: in units of the yardstick that was timed beside each round, so that a machine that is
slower today is not taken for a slower program. A figure is accused where it is worse by more than `LEAST_CHANGE` and
chance would explain the difference in less than `CHANCE` of all benches, whatever number of figures a bench has
(Holm's correction).
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Literal

from mm_edge.errors import UsageError
from mm_edge.spec import Strict

from .interval import BETWEEN_RUNS, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .figure import Figure, Report

CHANCE = 0.05  # that a bench accuses anybody although nothing has changed
LEAST_CHANGE = 0.025  # smaller ones are nobody's trouble
FEWEST_ROUNDS = 4  # below, a scatter says nothing

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
    raw = [_change(earlier[figure.key], figure) for figure in now.figures if figure.key in earlier]
    return sorted(_corrected([each for each in raw if each is not None]), key=lambda change: -change.ratio)


def _change(then: Figure, now: Figure) -> Change | None:
    if now.better == "neither" or min(len(then.rounds), len(now.rounds)) < FEWEST_ROUNDS:
        return None
    before, here = then.yards, now.yards
    if min(*before, *here) <= 0:
        return None
    log = math.log(statistics.median(here) / statistics.median(before))
    log = -log if now.better == "more" else log
    # The two runs' own scatter, and what no single run can see.
    error = math.sqrt(scatter(before) ** 2 + scatter(here) ** 2 + 2 * BETWEEN_RUNS**2)
    chance = math.erfc(abs(log) / error / math.sqrt(2))
    low, high = (math.exp(log + side * 1.96 * error) for side in (-1, 1))
    return Change(now.key, now.unit, then.value, now.value, math.exp(log), low, high, chance, "same")


def _corrected(changes: Sequence[Change]) -> list[Change]:
    """Holm: the smallest chance is multiplied by the number of figures, the next by one less, and so on."""
    corrected, least = [], 0.0
    for place, change in enumerate(sorted(changes, key=lambda change: change.chance)):
        least = max(least, min(1.0, change.chance * (len(changes) - place)))
        verdict: Verdict = "same"
        if least < CHANCE and abs(math.log(change.ratio)) > math.log1p(LEAST_CHANGE):
            verdict = "worse" if change.ratio > 1 else "better"
        corrected.append(
            Change(
                change.key, change.unit, change.then, change.now, change.ratio, change.low, change.high, least, verdict
            )
        )
    return corrected
