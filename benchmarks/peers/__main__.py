"""Runs the peers and ours in turns, on the same model and frames: `python -m mm_edge.benchmarks.peers`.

Each peer has an environment of its own, made from its pinned requirements on the first call. --json keeps the results,
a task's beside those of the tasks that the file holds already; docs/benchmarks.md is made from them (python -m
mm_edge.benchmarks.studies.document).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec

from .results import Results
from .side_by_side import measure
from .tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; none: all of them")
    parser.add_argument("--only", action="append", default=[], metavar="FILE", help="a peer; ours always runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each live run, a round")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if unknown := [name for name in given.tasks if name not in TASKS]:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(TASKS)}")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    for name in given.tasks or TASKS:
        results = measure(TASKS[name], given.only, given.rounds, given.seconds)
        print(msgspec.json.format(msgspec.json.encode(results), indent=1).decode())
        if given.json:
            given.json.parent.mkdir(parents=True, exist_ok=True)
            keep(results, given.json)


def keep(results: Results, path: Path) -> None:
    """In the place of what the file holds of that task: contenders of one task stand together only from one run."""
    found = {each.title: each for each in (read(path) if path.exists() else [])} | {results.title: results}
    known = [found[task.title] for task in TASKS.values() if task.title in found]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")


def read(path: Path) -> list[Results]:
    return msgspec.json.decode(path.read_bytes(), type=list[Results])


if __name__ == "__main__":
    main()
