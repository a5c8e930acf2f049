"""A model's training recipe: its curriculum, in full and for a quick run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .course import School


@dataclass(frozen=True)
class Recipe:
    """`quick` takes about two minutes."""

    full: Callable[[], School]
    quick: Callable[[], School]
