"""Checks sources and sinks a few times a second: a blocked call cannot report itself. Logs drops once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.runtime.clock import Clock

    from .sink_keeper import SinkKeeper
    from .source_keeper import SourceKeeper
    from .streams.feeds import AnyChannel

log = logging.getLogger(__name__)
CHECK_EVERY_S = 0.1
LOG_EVERY_S = 1.0


class Watchdog(threading.Thread):
    """Runs until `ended` is set."""

    def __init__(
        self,
        source_keepers: Sequence[SourceKeeper],
        sink_keepers: Sequence[SinkKeeper],
        channels: Mapping[str, AnyChannel],
        clock: Clock,
        *,
        ended: threading.Event,
    ) -> None:
        super().__init__(name="mm-edge-watchdog", daemon=True)
        self._source_keepers, self._sink_keepers, self._channels = source_keepers, sink_keepers, channels
        self._clock, self._ended = clock, ended

    def run(self) -> None:
        logged: Counter[str] = Counter()
        next_log_s = 0.0
        while not self._ended.wait(CHECK_EVERY_S):
            now_ns = self._clock.now_ns()
            for source_keeper in self._source_keepers:
                source_keeper.check(now_ns)
            for sink_keeper in self._sink_keepers:
                sink_keeper.check(now_ns)
            if time.monotonic() >= next_log_s:
                next_log_s = time.monotonic() + LOG_EVERY_S
                logged = self._log_drops(logged)

    def _log_drops(self, before: Counter[str]) -> Counter[str]:
        """One line, however much was dropped."""
        now: Counter[str] = Counter()
        for name, channel in self._channels.items():
            now.update({f"{name} {cause}": n for cause, n in channel.dropped.items() if cause != "superseded"})
        for keeper in self._sink_keepers:
            now.update({f"{keeper.event_name} {cause}": n for cause, n in keeper.channel.dropped.items()})
        if new := now - before:
            log.debug("dropped in the last second: %s", ", ".join(f"{name} {count}" for name, count in new.items()))
        return now
