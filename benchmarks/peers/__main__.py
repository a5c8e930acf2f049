"""Runs mm-edge and its peers in turns on the same model and frames: `python -m mm_edge.benchmarks.peers`.

Each peer has a virtual environment of its own, created from pinned requirements on first use. --json adds the results
to a file and replaces those of the same task; docs/benchmarks.md is generated from it (python -m
mm_edge.benchmarks.studies.document).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from .results import Results
from .side_by_side import measure
from .tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"tasks to run: {', '.join(TASKS)} [default: all]")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FILE",
        help="run only this peer, mm-edge and the reference; repeatable",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each in new processes [default: 3]")
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of each live run in a round [default: 4]")
    parser.add_argument("--json", type=Path, help="add the results to this file")
    given = parser.parse_args()
    if unknown := [name for name in given.tasks if name not in TASKS]:
        parser.error(f"unknown task '{unknown[0]}'; available: {', '.join(TASKS)}")
    for name in given.tasks or TASKS:
        results = measure(TASKS[name], given.only, given.rounds, given.seconds)
        print(msgspec.json.format(msgspec.json.encode(results), indent=1).decode())
        if given.json:
            given.json.parent.mkdir(parents=True, exist_ok=True)
            keep(results, given.json)


def keep(results: Results, path: Path) -> None:
    """Replaces the results of the same task; results of one task always come from one run."""
    found = {each.title: each for each in (read(path) if path.exists() else [])} | {results.title: results}
    known = [found[task.title] for task in TASKS.values() if task.title in found]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")


def read(path: Path) -> list[Results]:
    return msgspec.json.decode(path.read_bytes(), type=list[Results])


if __name__ == "__main__":
    main()
