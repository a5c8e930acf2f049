"""What a bench reports: figures with their intervals and floors, the machine they were taken on, and the schema."""

from __future__ import annotations

from typing import Any, Final, Literal

from mm_edge.spec import Strict

SCHEMA: Final = 1  # of the JSON; counts up when a field changes its meaning or goes away. docs/bench.md describes it
Better = Literal["less", "more", "neither"]


class Floor(Strict, frozen=True):
    """The physical limit beside a figure, measured in the same run. `ratio` is figure over floor, or floor over figure
    where more is better: 1 is the best that there can be.

    Where both took turns of milliseconds, `rounds` are the ratios within turns, by round, and `low` and `high` are
    where the ratio of a second run falls nine times out of ten: what slows the machine slows both, and cancels.
    """

    what: str
    value: float
    ratio: float
    low: float = 0.0
    high: float = 0.0
    rounds: tuple[float, ...] = ()


class Figure(Strict, frozen=True):
    """One number and what is needed to believe it.

    `low` and `high` are where the same bench, run again on the same machine, falls nine times out of ten. `rounds` are
    the statistic of each round, `pace_us` what the yardstick took beside it; `yards` brings both together. `settled` is
    MLPerf's early-stopping value of the percentile; None where there were too few queries for it, or where the figure
    is no percentile.
    """

    scenario: str
    name: str
    unit: str
    statistic: str
    better: Better
    value: float
    low: float
    high: float
    n: int
    rounds: tuple[float, ...] = ()
    pace_us: tuple[float, ...] = ()
    percentiles: dict[str, float] = {}
    curve: tuple[float, ...] = ()  # the distribution at its 0th, 2nd, … 100th percentile, for drawing
    settled: float | None = None
    floor: Floor | None = None
    note: str = ""

    @property
    def yards(self) -> tuple[float, ...]:
        """The rounds in units of the yardstick, where one was timed beside them: free of the machine's pace."""
        if len(self.pace_us) != len(self.rounds):
            return self.rounds
        pairs = zip(self.rounds, self.pace_us, strict=True)
        return tuple(value * pace if self.better == "more" else value / pace for value, pace in pairs)

    @property
    def key(self) -> str:
        return f"{self.scenario}/{self.name}"


class Span(Strict, frozen=True):
    """A stage of one tick on one lane, for the timeline; milliseconds from the first."""

    lane: str
    label: str
    tick: int
    start_ms: float
    end_ms: float


class Heat(Strict, frozen=True):
    """What others did to the machine while it was measured. Shares are of all cores."""

    others: float
    stolen: float
    throttled: int
    hottest_before_c: float | None
    hottest_after_c: float | None
    clock_before_mhz: float | None
    clock_after_mhz: float | None
    doubts: tuple[str, ...] = ()  # why the figures are not to be relied on; empty where nothing speaks against them


class Machine(Strict, frozen=True):
    """Where it was measured, as it was."""

    kind: str  # the class of device that budgets are told for: x86-2, jetson-orin-nano, …
    cpu: str
    cores: float
    governor: str
    power_mode: str
    memory_mb: int
    versions: dict[str, str]
    heat: Heat


class Report(Strict, frozen=True):
    """One run of the bench."""

    schema: Literal[1]
    when: str
    bundle: str
    bundle_digest: str
    engine: dict[str, Any]
    seconds: float
    round_count: int
    pace_us: float  # the yardstick over the whole run: how fast this machine was
    overhead_ns: float
    overhead_of_shortest: float  # as a share of the shortest thing that was timed
    machine: Machine
    figures: tuple[Figure, ...]
    spans: tuple[Span, ...] = ()
    ages: dict[str, tuple[tuple[float, float], ...]] = {}  # age over time: seconds and milliseconds, by curve
    notes: tuple[str, ...] = ()
