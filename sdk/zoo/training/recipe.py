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
    """One stretch of a training. Every stage but the last begins with the untaught model and leaves `parts` of it
    to the last one, which begins with all of them; so the others may be run in any order, or side by side.
    """

    name: str
    course: Callable[[FusionModel], Course]
    plan: Plan
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """`quick` is for a look in two minutes."""

    full: Callable[[], School]
    quick: Callable[[], School]
