"""Values that come in rounds, and the figures that are made of them."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.benchmarks.figure import Better, Figure, Floor
from mm_edge.benchmarks.interval import early_stopping, least_queries, order_interval, percentile, second_run

if TYPE_CHECKING:
    from collections.abc import Sequence

MIDDLE = 50
CURVE = tuple(range(0, 101, 2))


class Series:
    """Milliseconds of every query, by round; with the yardstick's pace where it was timed in turns with them."""

    def __init__(self) -> None:
        self.rounds: list[list[float]] = []
        self.pace_us: list[float] = []

    def add(self, values: list[float]) -> None:
        if values:
            self.rounds.append(values)

    def add_turns(self, turns: list[list[float]], yardstick: list[list[float]]) -> None:
        """The pace of such a round is what makes its median, in yards, the median of the ratios within turns."""
        values = [value for turn in turns for value in turn]
        ratio = statistics.median(
            statistics.median(turn) / statistics.median(beside) for turn, beside in zip(turns, yardstick, strict=True)
        )
        self.rounds.append(values)
        self.pace_us.append(percentile(values, MIDDLE) / ratio)

    @property
    def every(self) -> list[float]:
        return [value for values in self.rounds for value in values]

    def middle(self) -> float:
        """The median of the rounds' medians: a round that was disturbed does not move it."""
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
        """A percentile. The 50th is the median of rounds; a tail is read off all queries together."""
        every = self.every
        each = [percentile(values, percent) for values in self.rounds]
        value = statistics.median(each) if percent == MIDDLE else percentile(every, percent)
        pace = tuple(self.pace_us or pace_us)
        pace = pace if len(pace) == len(each) else ()
        tail = None if percent == MIDDLE else order_interval(every, percent)
        low, high = second_run(value, [v / p for v, p in zip(each, pace, strict=True)] if pace else each, tail)
        if percent != MIDDLE and len(every) < least_queries(percent):
            too_few = f"{len(every)} queries; MLPerf asks for {least_queries(percent)}"
            note = f"{note}; {too_few}" if note else too_few
        return Figure(
            scenario=scenario,
            name=name,
            unit="ms",
            statistic=f"p{percent}",
            better="less",
            value=value,
            low=low,
            high=high,
            n=len(every),
            rounds=tuple(each),
            pace_us=pace,
            percentiles={f"p{each}": percentile(every, each) for each in (50, 90, 99)} | {"max": max(every)},
            curve=tuple(float(value) for value in np.percentile(every, CURVE)),
            settled=early_stopping(every, percent) if percent != MIDDLE else None,
            floor=Floor(floor[0], floor[1], value / floor[1]) if floor else None,
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
    floor: tuple[str, float] | None = None,
    note: str = "",
) -> Figure:
    """A figure of which each round gives one value: a throughput, a share, CPU, memory."""
    value = statistics.median(rounds)
    pace = tuple(pace_us) if len(pace_us) == len(rounds) else ()
    paired = [v * p if better == "more" else v / p for v, p in zip(rounds, pace, strict=True)] if pace else rounds
    low, high = second_run(value, paired)
    ratio = (floor[1] / value if better == "more" else value / floor[1]) if floor and floor[1] and value else 0.0
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
        floor=Floor(floor[0], floor[1], ratio) if floor else None,
        note=note,
    )
