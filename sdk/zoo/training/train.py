"""Trains a model of the zoo by its recipe and writes all that is to be known of it into the run's folder."""

from __future__ import annotations

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
from .rivals import train_rivals

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.zoo.catalog import Entry
    from mm_edge.zoo.compose import FusionModel

    from .course import Told
    from .loop import Run

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

    `start` is a file of weights to teach on from, by the recipe's plan for that; the report then says so.
    `told` hears of the making of data; `watched` hears of each step: what is trained, the run so far, the steps it will
    have, and the newest figures.
    """
    import torch

    found = entry(name)
    recipe = found.recipe()
    plan = recipe.quick_plan if quick else recipe.plan if start is None else recipe.further
    if seed is not None:
        plan = replace(plan, seed=seed)
    if threads is not None:
        plan = replace(plan, threads=threads)
    out.mkdir(parents=True, exist_ok=True)
    home = cache if cache is not None else cache_folder("zoo")
    commit = _commit()
    torch.manual_seed(plan.seed)
    pupil = found.build()
    if start is not None:
        read_weights(pupil, start, name)
    course = recipe.course() if start is None or quick else recipe.further_course()
    course.prepare(home, quick=quick, told=told)
    hear = None if watched is None else lambda run, shown: watched(name, run, plan.steps, shown)
    model, run = learn(pupil, course, plan, out, hear)
    predict = predictor(model)
    settled = course.settle(model, predict)
    write_weights(model, out / WEIGHTS)
    draw_curves(run, out / "curves.png")
    counts, labels = course.confusion(predict)
    draw_confusion(counts, labels, out / "confusion.png")
    own = recipe.quick_rivals if quick else recipe.rivals
    courses = recipe.single_courses()
    for single in courses.values():
        single.prepare(home, quick=quick, told=told)
    hear_rival = (
        None if watched is None else lambda rival, so_far: watched(f"{name}, {rival} only", so_far, own.steps, {})
    )
    rivals = train_rivals(model, courses, replace(own, threads=plan.threads), out, hear_rival)
    report = {
        "model": name,
        "quick": quick,
        "plan": asdict(plan),
        "started_from": "" if start is None else hashlib.sha256(start.read_bytes()).hexdigest(),
        "steps": run.step,
        "stopped": run.stopped,
        "seconds": round(run.seconds, 1),
        "best_step": run.best_step,
        "data": course.record(),
        "settled": settled,
        "tuning": course.examine(predict),
        "chance": float(counts.sum(1).max() / counts.sum()),
        "alone": {rival: courses[rival].examine(predictor(trained)) for rival, trained in rivals.items()},
        "held_out": {} if quick else _held_out(found, home, model, rivals),
        "made": {"torch": str(torch.__version__), "python": platform.python_version(), "commit": commit},
    }
    (out / REPORT).write_text(json.dumps(report, indent=1) + "\n")
    return report


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
