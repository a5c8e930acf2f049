"""Values by round, and the figures computed from them."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.benchmarks.bench.figure import Better, Figure, Floor
from mm_edge.benchmarks.bench.interval import (
    best_error,
    early_stopping,
    least_queries,
    order_interval,
    percentile,
    prediction_interval,
    ratio_error,
    run_error,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MIDDLE, BEST = 50, 0
US_PER_MS = 1000
CURVE = tuple(range(0, 101, 2))


class Series:
    """Milliseconds of every query by round, with the reference timing and the ratio to the floor if those were timed in
    turns with them.
    """

    def __init__(self) -> None:
        self.rounds: list[list[float]] = []
        self.pace_us: list[float] = []
        self.best_pace_us: list[float] = []
        self.floor_ratios: list[float] = []

    def add(self, values: list[float]) -> None:
        if values:
            self.rounds.append(values)

    def add_turns(
        self,
        turns: list[list[float]],
        yardstick: list[list[float]] | None = None,
        floor: list[list[float]] | None = None,
    ) -> None:
        """The reference timing of such a round makes its normalized median the median of the ratios within turns."""
        values = [value for turn in turns for value in turn]
        self.rounds.append(values)
        if yardstick is not None:
            self.pace_us.append(percentile(values, MIDDLE) / _ratio(turns, yardstick))
            self.best_pace_us.append(min(min(turn) for turn in yardstick) * US_PER_MS)
        if floor is not None:
            self.floor_ratios.append(_ratio(turns, floor))

    @property
    def every(self) -> list[float]:
        return [value for values in self.rounds for value in values]

    def best(self) -> float:
        return min(self.every)

    def middle(self) -> float:
        """The median of the rounds' medians, which a disturbed round does not move."""
        return statistics.median(percentile(values, MIDDLE) for values in self.rounds)

    def figure(
        self,
        scenario: str,
        name: str,
        percent: int,
        pace_us: Sequence[float] = (),
        *,
        floor: tuple[str, float] | None = None,
        note: str = "",
    ) -> Figure:
        """A percentile; `BEST`, the 0th, is the minimum. The 50th is the median of rounds; a tail is computed from all
        queries together.
        """
        every = self.every
        each = [percentile(values, percent) for values in self.rounds]
        value = statistics.median(each) if percent == MIDDLE else percentile(every, percent)
        pace = tuple(self.best_pace_us if percent == BEST else self.pace_us or pace_us)
        pace = pace if len(pace) == len(each) else ()
        is_tail = percent > MIDDLE
        error = best_error(every) if percent == BEST else run_error(each)
        low, high = prediction_interval(value, error, order_interval(every, percent) if is_tail else None)
        if is_tail and len(every) < least_queries(percent):
            too_few = f"{len(every)} queries; MLPerf requires {least_queries(percent)}"
            note = f"{note}; {too_few}" if note else too_few
        return Figure(
            scenario=scenario,
            name=name,
            unit="ms",
            statistic="best" if percent == BEST else f"p{percent}",
            better="less",
            value=value,
            low=low,
            high=high,
            n=len(every),
            rounds=tuple(each),
            pace_us=pace,
            percentiles={f"p{each}": percentile(every, each) for each in (50, 90, 99)} | {"max": max(every)},
            curve=tuple(float(value) for value in np.percentile(every, CURVE)),
            early_stopping=early_stopping(every, percent) if is_tail else None,
            floor=_floor(*floor, value / floor[1], () if is_tail else self.floor_ratios) if floor else None,
            note=note,
        )


def rate(
    scenario: str,
    name: str,
    rounds: Sequence[float],
    pace_us: Sequence[float] = (),
    *,
    unit: str = "per s",
    better: Better = "more",
    statistic: str = "median of rounds",
    floor: tuple[str, Sequence[float]] | None = None,
    note: str = "",
) -> Figure:
    """A figure with one value per round, such as throughput, a share, CPU or memory; the same for its floor."""
    value = statistics.median(rounds)
    pace = tuple(pace_us) if len(pace_us) == len(rounds) else ()
    low, high = prediction_interval(value, run_error(rounds))
    bound = None
    if floor and min(*rounds, *floor[1]) > 0:
        pairs = list(zip(rounds, floor[1], strict=True))
        ratios = [limit / own if better == "more" else own / limit for own, limit in pairs]
        bound = _floor(floor[0], statistics.median(floor[1]), statistics.median(ratios), ratios)
    return Figure(
        scenario=scenario,
        name=name,
        unit=unit,
        statistic=statistic,
        better=better,
        value=value,
        low=low,
        high=high,
        n=len(rounds),
        rounds=tuple(rounds),
        pace_us=pace,
        floor=bound,
        note=note,
    )


def _ratio(turns: list[list[float]], others: list[list[float]]) -> float:
    """The median of the ratios within turns, each of the minima, so that preemption does not count."""
    return statistics.median(min(turn) / min(other) for turn, other in zip(turns, others, strict=True))


def _floor(what: str, value: float, ratio: float, rounds: Sequence[float]) -> Floor:
    """`rounds`: ratios within turns, by round; they are more accurate than the ratio of two values."""
    if not rounds:
        return Floor(what, value, ratio)
    ratio = statistics.median(rounds)
    return Floor(what, value, ratio, *prediction_interval(ratio, ratio_error(rounds)), tuple(rounds))
