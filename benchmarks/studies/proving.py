"""Validates the bench on this machine: runs agree within their intervals, a slowdown of 5 % is reported, and unchanged
parts are not.

python -m mm_edge.benchmarks.studies.proving FOLDER [--trials 20] [--seconds 9] [--json FILE]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.benchmarks.bench.bench import bench
from mm_edge.benchmarks.bench.compare import compare
from mm_edge.benchmarks.bench.report import read_report, write_report
from mm_edge.benchmarks.bench.scenarios import SCENARIOS
from mm_edge.config import RunConfig
from mm_edge.errors import UsageError
from mm_edge.runtime.engines.selection.choose import open_engine
from mm_edge.shipped import default_bundle
from mm_edge.spec import Strict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mm_edge.benchmarks.bench.figure import Figure, Floor, Report
    from mm_edge.config import EngineConfig
    from mm_edge.runtime.engine import Engine, Executable, Slot

SLOWER = 0.05
PART = "encode_image"
SAME, SLOW = "same", "slow"


class Slowed:
    """An engine in which one part takes 5 % longer: it busy-waits for that share of each run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def load(self, part: Any, *rest: Any) -> Executable:
        made = self._engine.load(part, *rest)
        return _SlowedExecutable(made) if part.name == PART else made


class _SlowedExecutable:
    def __init__(self, made: Executable) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def slot(self, to_host: Collection[str] = ()) -> Slot:
        return _SlowedSlot(self._made.slot(to_host))


class _SlowedSlot:
    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    @property
    def outputs(self) -> Mapping[str, Any]:
        return self._slot.outputs

    def clear(self) -> None:
        self._slot.clear()

    def run(self, inputs: Sequence[Any]) -> None:
        began = time.perf_counter_ns()
        self._slot.run(inputs)
        until = time.perf_counter_ns()
        until += round((until - began) * SLOWER)
        while time.perf_counter_ns() < until:
            pass


class Agreement(Strict, frozen=True):
    """Of `pairs` of runs, `within` agree within the interval of the first. `half_width`: the median half width of that
    interval, as a share of the figure.
    """

    pairs: int
    within: int
    half_width: float


class Proof(Strict, frozen=True):
    """The counts of a validation."""

    seconds_a_run: float
    slowed: int
    caught: int  # slowed runs with a reported regression of the slowed part
    false_beside: int  # slowed runs with a reported regression of another part
    unchanged: int
    false_alone: int  # unchanged runs with any reported regression
    values: Agreement  # of two unchanged runs
    ratios: Agreement  # to their floors
    overhead_of_shortest: float
    machine: str
    unreliable: int  # runs that were marked as unreliable
    runs: int


def prove(trials: int, seconds: float, folder: Path) -> None:
    """Unchanged and slowed runs in turns; each is saved when it ends, so an interrupted validation is a shorter one."""
    for number in range(2 * trials + 1):
        kind = SLOW if number % 2 else SAME
        report = _run(seconds, slowed=kind == SLOW)
        write_report(folder / f"{report.when.replace(':', '')}-{kind}.json", report)
        print(f"run {number + 1} of {2 * trials + 1}: {kind}", flush=True)


def evaluate(folder: Path, seconds: float) -> Proof:
    """Compares each run with the unchanged run before it."""
    runs = [(path.stem.rpartition("-")[2], read_report(path)) for path in sorted(folder.glob("*.json"))]
    then: Report | None = None
    worse: dict[str, list[list[str]]] = {SAME: [], SLOW: []}
    values: list[tuple[float, Figure | Floor]] = []
    ratios: list[tuple[float, Figure | Floor]] = []
    for kind, report in runs:
        if then is not None:
            worse[kind].append([change.key for change in compare(then, report) if change.verdict == "regression"])
        if kind == SAME:
            if then is not None:
                values += [(now.value, first) for first, now in _figures_of_both(then, report)]
                ratios += [
                    (now.floor.ratio, first.floor)
                    for first, now in _figures_of_both(then, report)
                    if first.floor and now.floor and first.floor.rounds
                ]
            then = report
    if then is None or not ratios:
        raise UsageError(
            f"{len(runs)} runs", action=f"evaluating the runs in {folder}", hint="Measure some: --trials 20"
        )
    return Proof(
        seconds_a_run=seconds,
        slowed=len(worse[SLOW]),
        caught=sum(any(PART in key for key in keys) for keys in worse[SLOW]),
        false_beside=sum(any(PART not in key for key in keys) for keys in worse[SLOW]),
        unchanged=len(worse[SAME]),
        false_alone=sum(map(bool, worse[SAME])),
        values=agreement(values),
        ratios=agreement(ratios),
        overhead_of_shortest=sorted(report.overhead_of_shortest for _, report in runs)[len(runs) // 2],
        machine=then.machine.kind,
        unreliable=sum(bool(report.machine.conditions.warnings) for _, report in runs),
        runs=len(runs),
    )


def agreement(pairs: Sequence[tuple[float, Figure | Floor]]) -> Agreement:
    """Pairs of the second run's value and the first run's figure."""
    widths = sorted((first.high - first.low) / (first.high + first.low) for _, first in pairs)
    within = sum(first.low <= found <= first.high for found, first in pairs)
    return Agreement(len(pairs), within, widths[len(widths) // 2])


def _figures_of_both(then: Report, now: Report) -> list[tuple[Figure, Figure]]:
    earlier = {figure.key: figure for figure in then.figures}
    return [(earlier[figure.key], figure) for figure in now.figures if figure.better != "neither"]


def _run(seconds: float, *, slowed: bool) -> Report:
    def slow(config: EngineConfig) -> Engine:
        return Slowed(open_engine(config))

    return bench(
        default_bundle(),
        RunConfig(),
        [SCENARIOS["parts"]],
        seconds=seconds,
        rounds=6,
        open_it=slow if slowed else open_engine,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the runs; existing runs count too")
    parser.add_argument("--trials", type=int, default=20, help="slowed runs to measure; 0 evaluates existing runs")
    parser.add_argument("--seconds", type=float, default=9.0, help="measuring time per run, without loading")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    given = parser.parse_args()
    if given.trials:
        prove(given.trials, given.seconds, given.folder)
    proof = msgspec.json.format(msgspec.json.encode(evaluate(given.folder, given.seconds)), indent=1)
    if given.json:
        given.json.write_bytes(proof + b"\n")
    print(proof.decode())


if __name__ == "__main__":
    main()
