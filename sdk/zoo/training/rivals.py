"""Models that have one input only: the bar for what a fusion model still does when the others are missing.

A rival starts from the fusion model's own weights and is trained on with the other input always missing. So it knows
all that the fusion model knows and shares nothing any more: a higher bar than one trained from nothing for as long.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .loop import learn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mm_edge.zoo.compose import FusionModel

    from .course import Course
    from .loop import Plan, Run


def train_rivals(
    model: FusionModel,
    courses: dict[str, Course],
    plan: Plan,
    out: Path,
    told: Callable[[str, Run], None] | None = None,
) -> dict[str, FusionModel]:
    """One rival for each course, named like it; each keeps its own checkpoint in `out` and goes on from there."""
    rivals = {}
    for name, course in courses.items():
        folder = out / f"only-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        heard = None if told is None else partial(_pass_on, told, name)
        rivals[name], _ = learn(copy.deepcopy(model), course, replace(plan, seed=plan.seed + 1), folder, heard)
    return rivals


def _pass_on(told: Callable[[str, Run], None], name: str, run: Run, _shown: dict[str, float]) -> None:
    told(name, run)
