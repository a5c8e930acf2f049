"""How the build of an engine reports its progress, and how it is stopped."""

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
    """The state of a build. `share` runs from 0 to 1; `left_s` is None while it cannot be estimated."""

    label: str
    phase: str
    share: float
    elapsed_s: float
    left_s: float | None

    def __str__(self) -> str:
        left = "" if self.left_s is None else f", about {self.left_s:.0f} s left"
        return f"{self.label}: {self.phase}, {self.share:.0%} after {self.elapsed_s:.0f} s{left}"


class BuildStopped(Exception):  # noqa: N818  # the result of Ctrl-C, not a fault
    """The build of an engine was cancelled."""


class _PeriodicLog:
    """Logs the steps of a build, at most one in ten seconds."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + _LOG_EVERY_S

    def __call__(self, step: Step) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LOG_EVERY_S
            log.info("%s", step)


class Watch(Struct, frozen=True):
    """`report` gets every step of a build, from the thread that builds. `announce` gets single lines for a person: why
    an engine is built, how long it took. Setting `stopped` ends every build at its next step.
    """

    report: Callable[[Step], None] = field(default_factory=_PeriodicLog)
    announce: Callable[[str], None] = log.info
    stopped: threading.Event = field(default_factory=threading.Event)
