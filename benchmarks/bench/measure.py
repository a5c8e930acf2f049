"""Timing: warm-up until stable, interleaved variants, and the overhead of the measurement."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Run = Callable[[], object]
    Tick = Callable[[], int]

STABLE_WITHIN = 0.03  # of the best block: no longer getting faster
BLOCK = 5  # calls whose median is compared
LONGEST_WARM_UP_S = 1.0
SLICE_S = 0.002  # of one variant within a turn
LEAST_READING_US = 200.0
NS_PER_S, NS_PER_MS = 1_000_000_000, 1_000_000


def warm(run: Run, most_s: float = LONGEST_WARM_UP_S, tick: Tick = time.perf_counter_ns) -> bool:
    """Calls until two consecutive blocks are as fast as the best one. False: the time limit came first."""
    until_ns, calm, best = tick() + round(most_s * NS_PER_S), 0, float("inf")
    while calm < 2:
        block = statistics.median(_times(run, BLOCK, tick))
        calm = calm + 1 if block >= best * (1 - STABLE_WITHIN) else 0
        best = min(best, block)
        if tick() > until_ns:
            return calm >= 2
    return True


def timed(run: Run, seconds: float, least: int = 1, tick: Tick = time.perf_counter_ns, calls: int = 1) -> list[float]:
    """Milliseconds per call, for `seconds` and at least `least` readings, each of `calls` calls."""
    until_ns, taken, more = tick() + round(seconds * NS_PER_S), [], range(calls - 1)
    while True:
        began = tick()
        run()
        for _ in more:
            run()
        ended = tick()
        taken.append((ended - began) / NS_PER_MS / calls)
        if ended >= until_ns and len(taken) >= least:
            return taken


def in_turns(
    runs: Mapping[str, Run],
    seconds: float,
    slice_s: float = SLICE_S,
    tick: Tick = time.perf_counter_ns,
    calls: Mapping[str, int] | None = None,
) -> dict[str, list[list[float]]]:
    """Each variant for a slice, then again in reverse order, until `seconds` are over: milliseconds by turn.

    Slices are short, so that drift affects all variants of a turn equally: a ratio within a turn is far more accurate
    than a ratio of two long runs.
    """
    taken: dict[str, list[list[float]]] = {name: [] for name in runs}
    until_ns, turn = tick() + round(seconds * NS_PER_S), 0
    while turn < 2 or tick() < until_ns:
        for name in list(runs) if turn % 2 == 0 else list(runs)[::-1]:
            taken[name].append(timed(runs[name], slice_s, 2, tick, (calls or {}).get(name, 1)))
        turn += 1
    return taken


def calls_a_reading(run: Run, tick: Tick = time.perf_counter_ns) -> int:
    """How many calls of a short function to time together, so that reading the clock is negligible."""
    one_us = statistics.median(timed(run, 0.0, 2 * BLOCK, tick)) * 1000
    return max(1, math.ceil(LEAST_READING_US / max(one_us, 0.1)))


def overhead_ns(calls: int = 1, readings: int = 2_000) -> float:
    """The overhead of `timed` per call: its minimum for an empty function."""
    return min(timed(_nothing, 0.0, readings, calls=calls)) * NS_PER_MS


def _nothing() -> None:
    """An empty function, to measure the overhead of timing."""


def _times(run: Run, count: int, tick: Tick) -> list[int]:
    taken = []
    for _ in range(count):
        began = tick()
        run()
        taken.append(tick() - began)
    return taken
