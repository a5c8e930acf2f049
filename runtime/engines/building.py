"""How the building of an engine is watched, and how it is stopped."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
_LOG_EVERY_S = 10.0


class Step(Struct, frozen=True):
    """Where a build stands. `share` runs from 0 to 1; `left_s` is None while nobody can tell."""

    label: str
    phase: str
    share: float
    elapsed_s: float
    left_s: float | None

    def __str__(self) -> str:
        left = "" if self.left_s is None else f", about {self.left_s:.0f} s left"
        return f"{self.label}: {self.phase}, {self.share:.0%} after {self.elapsed_s:.0f} s{left}"


class BuildStopped(Exception):  # noqa: N818  # it answers Ctrl-C and is no fault
    """Somebody asked for the end while an engine was being built."""


class _LogNowAndThen:
    """The steps of builds that nobody looks at: one line in ten seconds."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + _LOG_EVERY_S

    def __call__(self, step: Step) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LOG_EVERY_S
            log.info("%s", step)


class Watch(Struct, frozen=True):
    """`tell` gets the steps of a build, from whichever thread builds. `say` gets what a person should know, once: why
    an engine is built, how long it took. Setting `stopped` ends every build at its next step.
    """

    tell: Callable[[Step], None] = field(default_factory=_LogNowAndThen)
    say: Callable[[str], None] = log.info
    stopped: threading.Event = field(default_factory=threading.Event)
