"""The records of a bench report: figures with intervals and floors, the machine, and the schema version."""

from __future__ import annotations

from typing import Any, Final, Literal

from mm_edge.spec import Strict

SCHEMA: Final = 2  # of the JSON; raised when a field changes its meaning or is removed. docs/bench.md describes it
Better = Literal["less", "more", "neither"]


class Floor(Strict, frozen=True):
    """A lower bound of a figure, measured in the same run. `ratio` is figure over floor, or floor over figure if more
    is better; 1 is the best possible.

    If both were timed in turns of milliseconds, `rounds` are the ratios within turns, by round, and `low` and `high`
    the 90 % interval of the ratio in another run: whatever slows the machine slows both, and cancels.
    """

    what: str
    value: float
    ratio: float
    low: float = 0.0
    high: float = 0.0
    rounds: tuple[float, ...] = ()


class Figure(Strict, frozen=True):
    """One measured number with its uncertainty.

    `low` and `high` are the 90 % interval of another run on the same machine. `rounds` are the statistic of each round,
    `pace_us` the reference timing taken with it. `early_stopping` is MLPerf's early-stopping value of the percentile;
    None if there were too few queries, or if the figure is not a percentile.
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
    curve: tuple[float, ...] = ()  # the 0th, 2nd, … 100th percentile, for plots
    early_stopping: float | None = None
    floor: Floor | None = None
    note: str = ""

    @property
    def normalized(self) -> tuple[float, ...]:
        """The rounds relative to their reference timings, if there are any: independent of the machine's speed."""
        if len(self.pace_us) != len(self.rounds):
            return self.rounds
        pairs = zip(self.rounds, self.pace_us, strict=True)
        return tuple(value * pace if self.better == "more" else value / pace for value, pace in pairs)

    @property
    def key(self) -> str:
        return f"{self.scenario}/{self.name}"


class Span(Strict, frozen=True):
    """A stage of one tick on one worker, for the timeline; milliseconds from the first."""

    worker: str
    label: str
    tick: int
    start_ms: float
    end_ms: float


class Conditions(Strict, frozen=True):
    """The state of the machine during the run. Shares are of all cores."""

    others: float
    stolen: float
    throttled: int
    temperature_before_c: float | None
    temperature_after_c: float | None
    clock_before_mhz: float | None
    clock_after_mhz: float | None
    warnings: tuple[str, ...] = ()  # why the figures are unreliable, if they are


class Machine(Strict, frozen=True):
    """The machine of a run."""

    kind: str  # the device class of budgets: x86-2, jetson-orin-nano, …
    cpu: str
    cores: float
    governor: str
    power_mode: str
    memory_mb: int
    versions: dict[str, str]
    conditions: Conditions


class Report(Strict, frozen=True):
    """One run of the bench."""

    schema: Literal[2]
    when: str
    bundle: str
    bundle_digest: str
    engine: dict[str, Any]
    seconds: float
    round_count: int
    pace_us: float  # median reference timing: the speed of the machine during the run
    overhead_ns: float
    overhead_of_shortest: float  # as a share of the shortest timing
    machine: Machine
    figures: tuple[Figure, ...]
    spans: tuple[Span, ...] = ()
    ages: dict[str, tuple[tuple[float, float], ...]] = {}  # age over time: (seconds, milliseconds), by curve
    notes: tuple[str, ...] = ()
