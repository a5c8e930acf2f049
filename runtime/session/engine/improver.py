"""A thread that starts with a run, compares the other engines of this CPU with the one that runs, and adopts a faster
one.

The safe engine answers from the first moment; an alternative is loaded beside it, must pass the golden check and decode
to the same answers, and replaces it between two moments. What was found is remembered, so that the next run
starts with it. `mm-edge tune` measures more and under load.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from mm_edge.errors import MmEdgeError
from mm_edge.runtime.engines.selection.alternatives import SAFE, engines
from mm_edge.runtime.engines.selection.select_engine import select_engine
from mm_edge.runtime.engines.selection.tuned import Tuned, machine_of, remember_choice

from .answers import can_be_compared, same_answers
from .duel import Duel

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.runtime.engines.selection.choice import Choice
    from mm_edge.runtime.engines.selection.select_engine import SelectedEngine
    from mm_edge.runtime.engines.selection.tuned import Goal

log = logging.getLogger(__name__)
START_AFTER_S = 0.7  # the first predictions come from an undisturbed machine
COMPARE_S = 1.0
WORTHWHILE = 0.9  # of the time of the engine that runs
MOST_BUNDLE_BYTES = 1 << 30  # of a bundle whose parts are loaded a second time


class Improver(threading.Thread):
    """`adopt` puts a faster engine to use, or raises; None: it is only remembered, for the next run."""

    def __init__(
        self,
        bundle: Bundle,
        running: SelectedEngine,
        *,
        driver: str,
        depth: int,
        goal: Goal,
        adopt: Callable[[SelectedEngine], None] | None,
        report: Callable[[str, str], None],
    ) -> None:
        # Not a daemon: a process that exits while a library compiles a graph in a daemon thread is aborted.
        super().__init__(name="mm-edge-improver", daemon=False)
        self._bundle, self._running, self._driver, self._depth, self._goal = bundle, running, driver, depth, goal
        self._adopt, self._report = adopt, report
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        if self._stopped.wait(START_AFTER_S):
            return
        try:
            choices = engines(self._depth)
            if not choices:
                return
            for choice in choices:
                if self._stopped.is_set() or self._try(choice):
                    return
            if not self._stopped.is_set():
                remember_choice(self._bundle, self._tuned(SAFE, 1.0))  # so that later runs do not look again
        except Exception:  # the run continues on what it has
            if not self._stopped.is_set():  # when a run ends, its bundle is closed
                log.exception("looking for a faster engine failed")

    def _try(self, choice: Choice) -> bool:
        """Whether it is better, and was adopted or remembered."""
        try:
            other = select_engine(self._bundle, choice.config, depth=choice.depth)
        except MmEdgeError as error:
            log.info("%s is not used: %s", choice, error)
            return False
        try:
            if other.fallbacks or not same_answers(self._bundle, other):
                log.info("%s is not used: its answers differ", choice)
                other.close()
                return False
            duel = Duel(self._bundle, self._running, other)
            ratio = duel.time_ratio(self._driver, COMPARE_S, self._stopped.is_set)
            del duel  # its slots, before an engine is closed
        except BaseException:
            other.close()
            raise
        if ratio > WORTHWHILE or self._stopped.is_set():
            log.info("%s is not used: it takes %.2f times as long", choice, ratio)
            other.close()
            return False
        loss = max((row.relative_error for row in other.golden), default=None)
        self._use(other, self._tuned(choice, ratio, loss))
        return True

    def _tuned(self, choice: Choice, gain: float, loss: float | None = None) -> Tuned:
        name = self._bundle.manifest.name
        return Tuned(name, self._goal, choice, round(gain, 3), "run", machine_of(), loss)

    def _use(self, other: SelectedEngine, tuned: Tuned) -> None:
        loss = "" if tuned.loss is None else f", largest relative error {tuned.loss:.2g}"
        found = f"{tuned.choice}: {tuned.gain:.2f} times the time of {SAFE}{loss}"
        if self._adopt is None:
            other.close()
            self._report("live", f"the next run uses {found}")
        else:
            other.tuned = tuned
            self._adopt(other)
            self._report("live", f"runs on {found}")
        remember_choice(self._bundle, tuned)


def can_improve(bundle: Bundle, running: SelectedEngine) -> bool:
    """It runs on the safe engine, another one is installed, and the two can be compared."""
    return (
        running.engine.name == SAFE.engine
        and running.tuned is None
        and can_be_compared(bundle.manifest)
        and bundle.size <= MOST_BUNDLE_BYTES
    )
