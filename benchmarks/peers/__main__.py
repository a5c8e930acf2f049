"""Runs the peers and ours in turns, on the same model and frames: `python -m mm_edge.benchmarks.peers`.

Each peer has an environment of its own, made from its pinned requirements on the first call. --json keeps the results;
docs/benchmarks.md is made from them (python -m mm_edge.benchmarks.document).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.benchmarks.frames import video
from mm_edge.benchmarks.interval import percentile
from mm_edge.benchmarks.machine import Watch, machine
from mm_edge.benchmarks.models import CACHE

from .driven import CannotRunError, Driven
from .results import Peer, Results
from .tasks import TASKS, Contender, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

KEEPS_UP_FPS = 30.0
TOO_SLOW = 3.0
FIRST_ONES = 5
MOST_TOLD = 200
OFFLINE, KEEPS_UP, TOO_FAST = "offline", "keeps up", "too slow"


def measure(task: Task, only: Collection[str], rounds: int, seconds: float) -> Results:
    """`seconds` of each live run, a round."""
    watch, film = Watch(), video(CACHE / f"shapes-{task.frames}.mp4", task.frames)
    loads, ours = task.loads(), task.contenders[0]
    wanted = [each for each in task.contenders if not only or each.file in only or each is ours]
    able, absent = _able(wanted, loads, film)
    starts: dict[str, list[float]] = {each.file: [] for each in able}
    told: dict[str, dict[str, list[dict[str, Any]]]] = {
        each.file: {OFFLINE: [], KEEPS_UP: [], TOO_FAST: []} for each in able
    }
    too_slow_fps = 0.0
    for number in range(rounds):
        # New processes each round: where memory comes to lie is part of what a run is worth.
        for each in able if number % 2 == 0 else able[::-1]:
            peer = Driven(each.file, each.environment, loads[each.file], film)
            starts[each.file].append(peer.start_s)
            answer = peer.ask("offline")
            told[each.file][OFFLINE].append(answer)
            if not too_slow_fps:
                # The same for all: three times what ours could take in this round.
                too_slow_fps = TOO_SLOW * answer["results"] / answer["seconds"]
            told[each.file][KEEPS_UP].append(peer.ask("live", str(KEEPS_UP_FPS), str(seconds)))
            told[each.file][TOO_FAST].append(peer.ask("live", str(too_slow_fps), str(seconds)))
            peer.close()
            print(f"{task.title}: round {number + 1} of {rounds}: {each.title}", file=sys.stderr)
    right = told[ours.file][OFFLINE][0]["labels"]
    peers = tuple(
        _summed(
            each,
            starts[each.file],
            told[each.file],
            ours=each is ours,
            same=all(run["labels"] == right for run in told[each.file][OFFLINE]),
        )
        for each in able
    )
    return Results(
        title=task.title,
        model=task.model,
        frames=task.frames,
        rounds=rounds,
        seconds=seconds,
        keeps_up_fps=KEEPS_UP_FPS,
        too_slow_fps=round(too_slow_fps, 1),
        machine=machine(watch.heat()),
        peers=peers,
        absent=absent,
    )


def _able(wanted: list[Contender], loads: Mapping[str, Path], film: Path) -> tuple[list[Contender], dict[str, str]]:
    """Those that take the model, each started once (its files are cached afterwards); the others with their reason."""
    able, absent = [], {}
    for each in wanted:
        try:
            Driven(each.file, each.environment, loads[each.file], film).close()
            able.append(each)
        except CannotRunError as error:
            absent[each.title] = " ".join(f"{error}".split())[:MOST_TOLD]
    return able, absent


def _summed(
    contender: Contender, starts: list[float], runs: dict[str, list[dict[str, Any]]], *, ours: bool, same: bool
) -> Peer:
    ages = {way: [age for run in runs[way] for age in run["ages_ms"][FIRST_ONES:]] for way in (KEEPS_UP, TOO_FAST)}
    every = [run for way in runs.values() for run in way]

    def middle(way: str, what: str, of: str, times: float = 1.0) -> float:
        return float(statistics.median(times * run[what] / run[of] for run in runs[way]))

    return Peer(
        name=contender.title,
        ours=ours,
        figures={
            "offline, frames a second": middle(OFFLINE, "results", "seconds"),
            "offline, CPU ms a result": middle(OFFLINE, "cpu_s", "results", 1000),
            "keeps up, age p50 ms": percentile(ages[KEEPS_UP], 50),
            "keeps up, age p99 ms": percentile(ages[KEEPS_UP], 99),
            "keeps up, CPU ms a result": middle(KEEPS_UP, "cpu_s", "results", 1000),
            "keeps up, results a second": middle(KEEPS_UP, "results", "seconds"),
            "too slow, age p50 ms": percentile(ages[TOO_FAST], 50),
            "too slow, age p99 ms": percentile(ages[TOO_FAST], 99),
            "too slow, results a second": middle(TOO_FAST, "results", "seconds"),
            "memory MB": max(run["rss_mb"] for run in every),
            "start to first result s": statistics.median(starts),
        },
        same_labels=same,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; none: all of them")
    parser.add_argument("--only", action="append", default=[], metavar="FILE", help="a peer; ours always runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each live run, a round")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if unknown := [name for name in given.tasks if name not in TASKS]:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(TASKS)}")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    results = [measure(TASKS[name], given.only, given.rounds, given.seconds) for name in given.tasks or TASKS]
    told = msgspec.json.format(msgspec.json.encode(results), indent=1)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_bytes(told + b"\n")
    print(told.decode())


if __name__ == "__main__":
    main()
