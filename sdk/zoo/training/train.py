"""Trains a model of the zoo by its recipe and writes all that is to be known of it into the run's folder."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.places import cache_folder
from mm_edge.zoo.catalog import entry
from mm_edge.zoo.ship import REPORT, WEIGHTS
from mm_edge.zoo.weights import read_weights, write_weights

from .loop import learn, predictor
from .pictures import draw_confusion, draw_curves

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.zoo.catalog import Entry
    from mm_edge.zoo.compose import FusionModel

    from .course import Told
    from .loop import Run
    from .recipe import Stage

EXAM_SAMPLES = 1000


def train(
    name: str,
    out: Path,
    *,
    quick: bool = False,
    start: Path | None = None,
    seed: int | None = None,
    threads: int | None = None,
    cache: Path | None = None,
    told: Told | None = None,
    watched: Callable[[str, Run, int, dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Trains zoo:NAME into `out`, going on where an earlier run into the same folder stopped. Gives the report.

    Each stage has its checkpoint in a folder of its own; the last puts together what the others have taught. Then the
    rivals are taught: models with one input only, in the place of the last stage, from the same encoders and for as
    long. `start` is a file of weights to teach on from; the report then says so.
    `told` hears of the making of data; `watched` hears of each step: what is trained, the run so far, the steps it will
    have, and the newest figures.
    """
    import torch

    found = entry(name)
    school = found.recipe().quick() if quick else found.recipe().full()
    out.mkdir(parents=True, exist_ok=True)
    home = cache if cache is not None else cache_folder("zoo")
    commit = _commit()
    torch.manual_seed(0 if seed is None else seed)
    model = found.build()
    if start is not None:
        read_weights(model, start, name)
    school.prepare(home, told=told)

    def teach(stage: Stage, pupil: FusionModel) -> tuple[FusionModel, Run]:
        plan = stage.plan if seed is None else replace(stage.plan, seed=seed)
        plan = plan if threads is None else replace(plan, threads=threads)
        hear = None if watched is None else lambda run, shown: watched(f"{name}, {stage.name}", run, plan.steps, shown)
        return learn(pupil, stage.course(pupil), plan, out / stage.name, hear)

    stages, runs = school.stages(), {}
    untaught = copy.deepcopy(model)
    for stage in stages[:-1]:
        taught, runs[stage.name] = teach(stage, copy.deepcopy(untaught))
        for part in stage.parts:
            model.get_submodule(part).load_state_dict(taught.get_submodule(part).state_dict())
    alone = {rival: copy.deepcopy(model) for rival in school.rivals()}
    model, runs[stages[-1].name] = teach(stages[-1], model)
    rivals = {rival: teach(stage, alone[rival])[0] for rival, stage in school.rivals().items()}
    settled = school.settle(model, predictor(model))
    predict = predictor(model)
    write_weights(model, out / WEIGHTS)
    draw_curves(runs, out / "curves.png")
    counts, labels = school.confusion(predict)
    draw_confusion(counts, labels, out / "confusion.png")
    report = {
        "model": name,
        "quick": quick,
        "stages": {stage.name: _told(stage, runs[stage.name]) for stage in stages},
        "started_from": "" if start is None else hashlib.sha256(start.read_bytes()).hexdigest(),
        "steps": sum(run.step for run in runs.values()),
        "seconds": round(sum(run.seconds for run in runs.values()), 1),
        "data": school.record(),
        "settled": settled,
        "tuning": school.examine(predict),
        "chance": float(counts.sum(1).max() / counts.sum()),
        "alone": {rival: school.examine(predictor(trained)) for rival, trained in rivals.items()},
        "held_out": {} if quick else _held_out(found, home, model, rivals),
        "made": {"torch": str(torch.__version__), "python": platform.python_version(), "commit": commit},
    }
    (out / REPORT).write_text(json.dumps(report, indent=1) + "\n")
    return report


def _told(stage: Stage, run: Run) -> dict[str, Any]:
    """What the report says of a stage."""
    return {
        "plan": asdict(stage.plan),
        "steps": run.step,
        "seconds": round(run.seconds, 1),
        "best_step": run.best_step,
        "stopped": run.stopped,
    }


def _held_out(
    found: Entry, home: Path, model: FusionModel, rivals: dict[str, FusionModel]
) -> dict[str, dict[str, float]]:
    """The held-out figures of the model and of each rival."""
    everyone = {found.name: model, **{f"only {name}": rival for name, rival in rivals.items()}}
    return {name: found.module.examine(predictor(one), home, EXAM_SAMPLES) for name, one in everyone.items()}


def _commit() -> str:
    """The commit of the tree that this file is in, marked where the zoo has changed since; empty outside of one."""
    here = Path(__file__).resolve().parent
    asked = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        return ""
    changed = subprocess.run(
        ["git", "-C", str(here), "status", "--porcelain", ".."], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
