"""Real-time settings that need privileges or affect the whole process: affinity, scheduling, the garbage collector, the
switch interval.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.config import RealtimeConfig

_US_PER_S = 1_000_000


class Realtime:
    """Applied at the start of a run and undone at its end. `refuse` is called with what the system did not permit."""

    def __init__(self, config: RealtimeConfig, refuse: Callable[[str], None]) -> None:
        self._config, self._refuse = config, refuse
        self._switch_interval_s = sys.getswitchinterval()

    def begin(self) -> None:
        # A thread that wakes up waits so long for the interpreter. The default, 5 ms, is a third of a frame at 60 Hz.
        sys.setswitchinterval(self._config.switch_interval_us / _US_PER_S)
        if self._config.freeze_gc:
            gc.collect()
            gc.freeze()

    def prepare_thread(self) -> None:
        """Called in each worker's thread. Affinity and scheduling belong to threads on Linux."""
        if self._config.affinity:
            self._try("the affinity", lambda: os.sched_setaffinity(0, self._config.affinity))
        if self._config.fifo_priority:
            priority = os.sched_param(self._config.fifo_priority)
            self._try("real-time scheduling", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, priority))

    def end(self) -> None:
        sys.setswitchinterval(self._switch_interval_s)
        if self._config.freeze_gc:
            gc.unfreeze()

    def _try(self, what: str, apply: Callable[[], None]) -> None:
        try:
            apply()
        except (OSError, ValueError) as error:
            self._refuse(
                f"{what} was refused: {error}. The run continues without it; it needs CAP_SYS_NICE and existing cores"
            )
