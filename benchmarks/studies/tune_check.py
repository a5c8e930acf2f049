"""mm-edge tune against an exhaustive search: python -m mm_edge.benchmarks.studies.tune_check [BUNDLE …] [--json FILE].

Every engine, precision, number of threads and depth is measured in interleaved rounds; then tune chooses in its usual
time. The figure is the value of its choice in the exhaustive search over the best value there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from mm_edge.benchmarks.bench.machine import Watch
from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.benchmarks.tune.load import Load
from mm_edge.benchmarks.tune.trial import joined, try_choice
from mm_edge.benchmarks.tune.tune import Search
from mm_edge.bundle.bundle import Bundle
from mm_edge.cores import processor_name, usable_cores
from mm_edge.runtime.engines.selection.tuned import GOALS, Goal
from mm_edge.shipped import default_bundle

BUDGET_S = 30.0


def check(path: Path, goal: Goal, rounds: int, seconds: float) -> dict[str, Any]:
    with Bundle.open(path) as bundle:
        load = Load(bundle.manifest)
        every = Search(bundle, goal, 0.0, _silent).every_way()
        trials: dict[str, list[Any]] = {str(choice): [] for choice in every}
        for _ in range(rounds):
            for choice in every:
                trials[str(choice)].append(try_choice(bundle, load, choice, goal, seconds))
        values = {name: joined(found).score(goal) for name, found in trials.items()}
        began_s = time.monotonic()
        tuned = Search(bundle, goal, BUDGET_S, _silent).run().tuned
        took_s = time.monotonic() - began_s
    best = min(values, key=lambda name: values[name])
    return {
        "bundle": bundle.manifest.name,
        "goal": goal,
        "ways": len(every),
        "best": best,
        "chosen": str(tuned.choice),
        "chosen_over_best": values[str(tuned.choice)] / values[best],
        "default_over_best": values[str(every[0])] / values[best],
        "tune_s": took_s,
        "values": values,
    }


def _silent(_spent_s: float, _trial: str) -> None:
    """No progress."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path, help="[default: scout and MobileNetV3-Large]")
    parser.add_argument("--for", dest="goal", choices=GOALS, default="latency")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    watch = Watch()
    paths = given.bundles or [default_bundle(), vision_bundle()]
    found: dict[str, Any] = {"models": [check(path, given.goal, given.rounds, given.seconds) for path in paths]}
    conditions = watch.conditions()
    found["machine"] = {"cpu": processor_name(), "cores": usable_cores()}
    found["others_share"], found["stolen_share"] = conditions.others, conditions.stolen
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
