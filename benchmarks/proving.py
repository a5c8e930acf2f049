"""Proves the bench on this machine: two runs agree within what they print, a slowdown of 5 % is caught, nobody is
accused who is the same.

python -m mm_edge.benchmarks.proving [--trials 20] [--seconds 9] [--json FILE]     (20 trials: 7 minutes)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.config import RunConfig
from mm_edge.runtime.engines.choose import open_engine
from mm_edge.shipped import default_bundle
from mm_edge.spec import Strict

from .bench import bench
from .compare import compare
from .measure import overhead_ns
from .report import write_report
from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.config import EngineConfig
    from mm_edge.runtime.engine import Engine, Executable, Slot

    from .figure import Report

SLOWER = 0.05
PART = "encode_image"


class Slowed:
    """An engine in which one part takes 5 % longer: it waits, busily, for that share of what each run has taken."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def load(self, part: Any, *rest: Any) -> Executable:
        made = self._engine.load(part, *rest)
        return _SlowedExecutable(made) if part.name == PART else made  # type: ignore[return-value]  # the rest is delegated


class _SlowedExecutable:
    def __init__(self, made: Executable) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def slot(self) -> Slot:
        return _SlowedSlot(self._made.slot())


class _SlowedSlot:
    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    @property
    def outputs(self) -> Mapping[str, Any]:
        return self._slot.outputs

    def run(self, inputs: Sequence[Any]) -> None:
        began = time.perf_counter_ns()
        self._slot.run(inputs)
        until = time.perf_counter_ns()
        until += round((until - began) * SLOWER)
        while time.perf_counter_ns() < until:
            pass


class Proof(Strict, frozen=True):
    """What came out, and of how many."""

    trials: int
    seconds_a_run: float
    caught: int  # trials in which the slowed part was accused
    accused: int  # trials in which an unchanged run was accused of anything
    innocents: int  # slowed trials in which another part was accused too
    pairs: int  # figures of two unchanged runs
    within: int  # that differ by less than the interval they print
    widest: float  # of those intervals, as a share of the figure; the median
    overhead_of_shortest: float
    machine: str
    doubts: int  # runs that were marked as not to be relied on


def prove(trials: int, seconds: float, keep: Path | None = None) -> Proof:
    """Unchanged and slowed runs in turns; each slowed one is held against the unchanged one before it, and so is the
    next unchanged one.
    """
    caught = accused = innocents = pairs = within = doubts = 0
    widths: list[float] = []
    then = _run(seconds, slowed=False)
    for _ in range(trials):
        slow, now = _run(seconds, slowed=True), _run(seconds, slowed=False)
        if keep:
            for name, report in (("slow", slow), ("same", now)):
                write_report(keep / f"{now.when.replace(':', '')}-{name}.json", report)
        worse = [change.key for change in compare(then, slow) if change.verdict == "worse"]
        caught += any(PART in key for key in worse)
        innocents += any(PART not in key for key in worse)
        accused += any(change.verdict == "worse" for change in compare(then, now))
        agreed, widths_now = agreement(then, now)
        pairs, within = pairs + len(agreed), within + sum(agreed)
        widths += widths_now
        doubts += bool(now.machine.heat.doubts)
        print(f"worse when slowed: {worse}; agree: {sum(agreed)} of {len(agreed)}", flush=True)
        then = now
    return Proof(
        trials,
        seconds,
        caught,
        accused,
        innocents,
        pairs,
        within,
        sorted(widths)[len(widths) // 2],
        then.overhead_of_shortest,
        then.machine.kind,
        doubts,
    )


def agreement(then: Report, now: Report) -> tuple[list[bool], list[float]]:
    """Whether each figure of the second run lies where the first said that it would, at the pace of the first; and how
    wide that was.
    """
    earlier = {figure.key: figure for figure in then.figures}
    agreed, widths = [], []
    for figure in now.figures:
        before = earlier[figure.key]
        if figure.better == "neither" or not figure.pace_us:
            continue
        middle_then, middle_now = (sorted(each.yards)[len(each.yards) // 2] for each in (before, figure))
        expected = before.value * middle_now / middle_then
        agreed.append(before.low <= expected <= before.high)
        widths.append((before.high - before.low) / 2 / before.value)
    return agreed, widths


def _run(seconds: float, *, slowed: bool) -> Report:
    def slow(config: EngineConfig) -> Engine:
        return Slowed(open_engine(config))  # type: ignore[return-value]  # what it does not change it delegates

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
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=9.0, help="of measuring, a run")
    parser.add_argument("--json", type=Path, help="adds the trials to those of this file")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keeps every run's report, for a closer look")
    given = parser.parse_args()
    proof = prove(given.trials, given.seconds, given.keep)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        with given.json.open("ab") as file:
            file.write(msgspec.json.encode(proof) + b"\n")
    print(msgspec.json.format(msgspec.json.encode(proof)).decode())
    print(f"the harness adds {overhead_ns():.0f} ns to a call that is timed alone")


if __name__ == "__main__":
    main()
