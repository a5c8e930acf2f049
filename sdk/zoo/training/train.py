"""Trains a zoo model by its recipe and writes weights, plots and a report into the run's folder."""

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

    from .course import Progress, Stage
    from .loop import Run

EVALUATION_SAMPLES = 1000


def train(
    name: str,
    out: Path,
    *,
    quick: bool = False,
    start: Path | None = None,
    seed: int | None = None,
    threads: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    on_step: Callable[[str, Run, int, dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Trains zoo:NAME into `out`, resuming an earlier run in the same folder. Returns the report.

    Each stage has its checkpoint in a folder of its own; the last stage combines the parts that the others trained.
    Then the baselines are trained: models with one input only, in place of the last stage, from the same encoders and
    for as many steps. `start` is a file of weights to fine-tune; the report records it.
    `progress` reports the generation of data; `on_step` reports each step: what is trained, the run so far, its planned
    number of steps, and the latest figures.
    """
    import torch

    found = entry(name)
    curriculum = found.recipe().quick() if quick else found.recipe().full()
    out.mkdir(parents=True, exist_ok=True)
    home = cache if cache is not None else cache_folder("zoo")
    commit = _commit()
    torch.manual_seed(0 if seed is None else seed)
    model = found.build()
    if start is not None:
        read_weights(model, start, name)
    curriculum.prepare(home, progress=progress)

    def train_stage(stage: Stage, student: FusionModel) -> tuple[FusionModel, Run]:
        plan = stage.plan if seed is None else replace(stage.plan, seed=seed)
        plan = plan if threads is None else replace(plan, threads=threads)
        report_step = (
            None if on_step is None else lambda run, shown: on_step(f"{name}, {stage.name}", run, plan.steps, shown)
        )
        return learn(student, stage.course(student), plan, out / stage.name, report_step)

    stages, runs = curriculum.stages(), {}
    untrained = copy.deepcopy(model)
    for stage in stages[:-1]:
        trained, runs[stage.name] = train_stage(stage, copy.deepcopy(untrained))
        for part in stage.parts:
            model.get_submodule(part).load_state_dict(trained.get_submodule(part).state_dict())
    alone = {baseline: copy.deepcopy(model) for baseline in curriculum.baselines()}
    model, runs[stages[-1].name] = train_stage(stages[-1], model)
    baselines = {baseline: train_stage(stage, alone[baseline])[0] for baseline, stage in curriculum.baselines().items()}
    calibrated = curriculum.calibrate(model, predictor(model))
    predict = predictor(model)
    write_weights(model, out / WEIGHTS)
    draw_curves(runs, out / "curves.png")
    counts, labels = curriculum.confusion(predict)
    draw_confusion(counts, labels, out / "confusion.png")
    report = {
        "model": name,
        "quick": quick,
        "stages": {stage.name: _stage_entry(stage, runs[stage.name]) for stage in stages},
        "started_from": "" if start is None else hashlib.sha256(start.read_bytes()).hexdigest(),
        "steps": sum(run.step for run in runs.values()),
        "seconds": round(sum(run.seconds for run in runs.values()), 1),
        "data": curriculum.record(),
        "calibrated": calibrated,
        "tuning": curriculum.examine(predict),
        "chance": float(counts.sum(1).max() / counts.sum()),
        "alone": {baseline: curriculum.examine(predictor(trained)) for baseline, trained in baselines.items()},
        "held_out": {} if quick else _held_out(found, home, model, baselines),
        "made": {"torch": str(torch.__version__), "python": platform.python_version(), "commit": commit},
    }
    (out / REPORT).write_text(json.dumps(report, indent=1) + "\n")
    return report


def _stage_entry(stage: Stage, run: Run) -> dict[str, Any]:
    """A stage's entry in the report."""
    return {
        "plan": asdict(stage.plan),
        "steps": run.step,
        "seconds": round(run.seconds, 1),
        "best_step": run.best_step,
        "stopped": run.stopped,
    }


def _held_out(
    found: Entry, home: Path, model: FusionModel, baselines: dict[str, FusionModel]
) -> dict[str, dict[str, float]]:
    """The held-out figures of the model and of each baseline."""
    everyone = {found.name: model, **{f"only {name}": baseline for name, baseline in baselines.items()}}
    return {name: found.module.examine(predictor(one), home, EVALUATION_SAMPLES) for name, one in everyone.items()}


def _commit() -> str:
    """The commit of the source tree, marked if the zoo has uncommitted changes; empty outside a repository."""
    here = Path(__file__).resolve().parent
    head = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return ""
    changed = subprocess.run(
        ["git", "-C", str(here), "status", "--porcelain", ".."], capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
