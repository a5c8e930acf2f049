"""How the building of an engine is watched, and how it is stopped."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Step:
    """Where a build stands. `share` runs from 0 to 1; `left_s` is None while nobody can tell."""

    label: str
    phase: str
    share: float
    elapsed_s: float
    left_s: float | None


class BuildStopped(Exception):  # noqa: N818  # it answers Ctrl-C and is no fault
    """Somebody asked for the end while an engine was being built."""


def untold(step: Step) -> None:
    """For builds that nobody watches."""


@dataclass(frozen=True)
class Watch:
    """`tell` is called from whichever thread builds; setting `stopped` ends all builds at their next step.

    `say` gets each thing once that a person should know: why an engine is built, that one was kept, what fell back.
    """

    tell: Callable[[Step], None] = untold
    say: Callable[[str], None] = print
    stopped: threading.Event = field(default_factory=threading.Event)
