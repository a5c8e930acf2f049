"""All that makes a training repeatable: the course, the plans, and the courses of the rivals that have one input only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .course import Course
from .loop import Plan


@dataclass(frozen=True)
class Recipe:
    """`quick_*` are the plans for a look in two minutes."""

    course: Callable[[], Course]
    single_courses: Callable[[], dict[str, Course]]
    plan: Plan
    rivals: Plan
    quick_plan: Plan
    quick_rivals: Plan
