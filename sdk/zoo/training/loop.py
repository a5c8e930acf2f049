"""The training loop: a cosine schedule, averaged weights, early stopping and resumable checkpoints."""

from __future__ import annotations

import copy
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import checkpoint
from .optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from mm_edge.zoo.arrays import Feeds, Predict
    from mm_edge.zoo.compose import FusionModel

    from .course import Course
    from .plan import Plan

CHECKPOINT = "checkpoint.safetensors"
LARGEST_GRADIENT = 5.0  # of its norm; larger gradients are clipped
LOG_EVERY = 10  # steps


@dataclass
class Run:
    """Progress and history of one stage, as saved in the checkpoint and drawn as curves."""

    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""


def predictor(model: FusionModel, batch: int = 64) -> Predict:
    """The model as a function from feeds to outputs, in eval mode and in small batches."""
    names = [*model.order, model.spec.presence or "presence"]

    def predict(feeds: Feeds) -> dict[str, Any]:
        model.eval()
        found: dict[str, list[Any]] = {}
        count = len(feeds[names[0]])
        with torch.inference_mode():
            for start in range(0, count, batch):
                rows = slice(start, start + batch)
                outputs = model(*(torch.from_numpy(np.ascontiguousarray(feeds[name][rows])) for name in names))
                for name, value in outputs.items():
                    found.setdefault(name, []).append(value.numpy())
        return {name: np.concatenate(values) for name, values in found.items()}

    return predict


@dataclass
class TrainingState:
    """Everything that training updates. `average` is the running mean of the weights, `best` its best evaluation."""

    model: FusionModel
    tutor: nn.Module
    average: FusionModel
    best: FusionModel
    optimizer: Optimizer

    @classmethod
    def of(cls, model: FusionModel, tutor: nn.Module, plan: Plan) -> TrainingState:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks the keyword alone
        optimizer = Optimizer((model, tutor), plan.learning_rate, plan.plain_rate, plan.weight_decay)
        return cls(model, tutor, copy.deepcopy(model), copy.deepcopy(model), optimizer)

    def modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "average": self.average, "best": self.best, "tutor": self.tutor}

    def step(self, course: Course, plan: Plan, number: int, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        """One optimizer step; returns the loss and the figures that the course reports."""
        progress = max(0.0, (number - plan.warm_up) / max(plan.steps - plan.warm_up, 1))
        rate = plan.learning_rate * min(1.0, (number + 1) / plan.warm_up) * (0.5 + 0.5 * math.cos(math.pi * progress))
        self.model.train()
        self.tutor.train()
        loss, shown = course.loss(self.model, self.tutor, batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
        torch.nn.utils.clip_grad_norm_(self.optimizer.parameters, LARGEST_GRADIENT)
        self.optimizer.step(rate)
        keep = min(plan.averaging, (number + 1) / (number + 10))
        with torch.no_grad():
            for mean, now in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - keep)
                else:
                    mean.copy_(now)
        return {"loss": float(loss.detach()), **shown}


def learn(
    model: FusionModel,
    course: Course,
    plan: Plan,
    out: Path,
    on_step: Callable[[Run, dict[str, float]], None] | None = None,
) -> tuple[FusionModel, Run]:
    """Trains until the end of the plan or until no evaluation improves; resumes from the checkpoint in `out`, if any.

    Returns the averaged weights of the best evaluation, and the history of the run.
    """
    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    state = TrainingState.of(model, course.tutor(model), plan)
    run = Run()
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    if path.exists():
        run = Run(**checkpoint.load(path, state.modules(), state.optimizer.kinds))
    if run.step >= plan.steps or run.stopped:
        return state.best.eval(), run
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(course.batch, run.step, plan.batch, plan.seed)
        while run.step < plan.steps and not run.stopped:
            began = time.monotonic()
            batch = coming.result()
            coming = ahead.submit(course.batch, run.step + 1, plan.batch, plan.seed)
            shown = state.step(course, plan, run.step, batch)
            run.step += 1
            last = run.step == plan.steps
            if run.step % LOG_EVERY == 0 or last:
                run.losses.append({"step": float(run.step), **shown})
            if (run.step % plan.evaluate_every == 0 and run.step >= plan.first_evaluation) or last:
                _evaluate(state, course, plan, run)
            run.seconds += time.monotonic() - began
            if run.step % plan.save_every == 0 or last or run.stopped:
                checkpoint.save(path, state.modules(), state.optimizer.kinds, dict(vars(run)))
            if on_step is not None:
                on_step(run, shown)
    return state.best.eval(), run


def _evaluate(state: TrainingState, course: Course, plan: Plan, run: Run) -> None:
    figures = course.examine(state.average.eval())
    run.evaluations.append({"step": float(run.step), **figures})
    if figures[course.main] > run.best:
        run.best, run.best_step = figures[course.main], run.step
        state.best.load_state_dict(state.average.state_dict())
    elif run.step - run.best_step >= plan.patience * plan.evaluate_every:
        run.stopped = f"{course.main} has not improved in {plan.patience} evaluations"


def class_weights(counts: torch.Tensor, strength: float = 0.5) -> torch.Tensor:
    """Loss weights for imbalanced classes: strength 1 balances them fully, 0 leaves the loss unweighted."""
    weights = (counts.clamp(min=1).float().mean() / counts.clamp(min=1).float()) ** strength
    return weights / weights.mean()
