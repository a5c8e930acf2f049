"""All that makes a training repeatable: the school, in full and for a quick look, and the stages that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.zoo.compose import FusionModel

    from .course import Course, School
    from .loop import Plan


@dataclass(frozen=True)
class Stage:
    """One stretch of a training. Its course is made once the stages before it are over, of the model that they left."""

    name: str
    course: Callable[[FusionModel], Course]
    plan: Plan


@dataclass(frozen=True)
class Recipe:
    """`quick` is for a look in two minutes."""

    full: Callable[[], School]
    quick: Callable[[], School]
