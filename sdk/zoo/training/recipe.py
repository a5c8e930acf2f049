"""All that makes a training repeatable: the course, the plans, the courses of the rivals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .course import Course
    from .loop import Plan


@dataclass(frozen=True)
class Recipe:
    """`quick_*` are the plans for a look in two minutes; `further*` teach on from weights that are there."""

    course: Callable[[], Course]
    single_courses: Callable[[], dict[str, Course]]
    plan: Plan
    rivals: Plan
    quick_plan: Plan
    quick_rivals: Plan
    further_course: Callable[[], Course]
    further: Plan
