"""What a run reports of itself: what it runs on, its counts so far, and the summary at its end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from mm_edge.runtime.process import cpu_seconds, resident_mb
from mm_edge.runtime.sink import Counts, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.runtime.channel import SampleChannel
    from mm_edge.runtime.clock import Clock
    from mm_edge.runtime.loop.loop import Loop

    from .delivery import Delivery
    from .engine.running_engine import RunningEngine
    from .sink_keeper import SinkKeeper
    from .source_keeper import SourceKeeper

PERCENTS = (50, 90, 99)


class Report:
    """Made before anything is loaded, so that the summary counts that time; `follow` names the parts of the run."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._started_ns, self._cpu_at_start = clock, clock.now_ns(), cpu_seconds()

    def follow(  # noqa: PLR0917  # in the order in which a sample passes them
        self,
        running: RunningEngine,
        channels: Mapping[str, SampleChannel],
        loop: Loop,
        delivery: Delivery,
        source_keepers: Sequence[SourceKeeper],
        sink_keepers: Sequence[SinkKeeper],
        *,
        driver: str,
        depth: int,
        workers: int,
    ) -> None:
        self._running, self._channels, self._loop, self._delivery = running, channels, loop, delivery
        self._source_keepers, self._sink_keepers = source_keepers, sink_keepers
        self._driver, self._sizes = driver, {"depth": depth, "workers": workers}

    def engine(self) -> dict[str, Any]:
        """What really runs."""
        return {**self._running.describe(), **self._sizes, "driver": self._driver}

    def counts(self, *, final: bool = False) -> Counts:
        """Captures and losses so far. `final`: the run has ended, and captured = predictions + dropped for the
        driver.
        """
        dropped = {name: {"overrun": 0, "stale": 0, **channel.dropped} for name, channel in self._channels.items()}
        of_driver = Counter(dropped[self._driver]) + self._delivery.dropped + self._loop.skipped
        if final:
            of_driver["unfinished"] = len(self._channels[self._driver].items) + self._loop.unfinished
        dropped[self._driver] = {
            "overrun": 0,
            "stale": 0,
            **{cause: count for cause, count in of_driver.items() if count},
        }
        return Counts({name: channel.given for name, channel in self._channels.items()}, dropped)

    def summary(self) -> Summary:
        delivery, counts = self._delivery, self.counts(final=True)
        return Summary(
            seconds=(self._clock.now_ns() - self._started_ns) / 1e9,
            predictions=delivery.predictions,
            captured=counts.captured,
            dropped=counts.dropped,
            latency_ms={label: values.figures(*PERCENTS) for label, values in sorted(delivery.latency.items())},
            age_ms={name: values.figures(*PERCENTS) for name, values in delivery.age.items()},
            deadline_missed=delivery.deadline_missed,
            cpu_seconds=cpu_seconds() - self._cpu_at_start,
            rss_mb=resident_mb(),
            engine=self.engine(),
            sources={keeper.source.name: keeper.figures() for keeper in self._source_keepers},
            sinks={keeper.sink.name: dict(keeper.channel.dropped) for keeper in self._sink_keepers},
        )
