"""What a run reports of itself: what it runs on, its counts so far, and the summary at its end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from mm_edge.redact import redact
from mm_edge.runtime.histogram import Distribution
from mm_edge.runtime.process import cpu_seconds, resident_mb
from mm_edge.runtime.sink import CameraFigures, Counts, RunInfo, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.runtime.clock import Clock
    from mm_edge.runtime.loop.stream import Stream

    from .delivery import Delivery
    from .engine.running_engine import RunningEngine
    from .sink_keeper import SinkKeeper
    from .source_keeper import SourceKeeper
    from .streams.feeds import Feed, Feeds

PERCENTS = (50, 90, 99)


class Report:
    """Made before anything is loaded, so that the summary counts that time; `follow` names the parts of the run."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._started_ns, self._cpu_at_start = clock, clock.now_ns(), cpu_seconds()

    def follow(
        self,
        running: RunningEngine,
        feeds: Feeds,
        *,
        streams: Sequence[Stream],
        deliveries: Sequence[Delivery],
        source_keepers: Sequence[SourceKeeper],
        sink_keepers: Sequence[SinkKeeper],
        driver: str,
        depth: int,
        workers: int,
    ) -> None:
        self._running, self._feeds, self._deliveries = running, feeds, deliveries
        self._streams = tuple(zip(feeds.streams, streams, deliveries, strict=True))
        self._source_keepers, self._sink_keepers = source_keepers, sink_keepers
        self._driver, self._sizes = driver, {"depth": depth, "workers": workers}

    def engine(self) -> dict[str, Any]:
        """What really runs."""
        return {**self._running.describe(), **self._sizes, "driver": self._driver}

    def info(self, manifest: Manifest) -> RunInfo:
        """For the sinks, once all sources are open."""
        opened = {keeper: redact(keeper.opened.detail if keeper.opened else "") for keeper in self._source_keepers}
        names = {feed.camera for feed in self._feeds.streams} - {None}
        cameras = {keeper.source.name: detail for keeper, detail in opened.items() if keeper.source.name in names}
        alone = {keeper: detail for keeper, detail in opened.items() if keeper.source.name not in names}
        sources = {keeper.source.input: detail for keeper, detail in alone.items()}
        return RunInfo(
            manifest,
            {self._driver: f"{len(cameras)} cameras", **sources} if cameras else sources,
            self.engine(),
            names={keeper.source.input: keeper.source.name for keeper in alone},
            counts=self.counts,
            cameras=cameras,
            camera_input=self._driver if cameras else "",
        )

    def counts(self, *, final: bool = False) -> Counts:
        """Captures and losses so far. `final`: the run has ended, and captured = predictions + dropped for the
        driver, of each camera if there are several.
        """
        each = [self._of(*stream, final=final) for stream in self._streams]
        if len(each) == 1:
            return each[0]
        channels = self._feeds.channels
        shared = {name: channel for name, channel in channels.items() if name in each[0].captured}
        captured = {self._driver: sum(counts.captured[self._driver] for counts in each)}
        dropped = {self._driver: dict(sum((Counter(counts.dropped[self._driver]) for counts in each), Counter()))}
        return Counts(
            captured | {name: channel.given for name, channel in shared.items()},
            {self._driver: _causes(dropped[self._driver])}
            | {name: _causes(channel.dropped) for name, channel in shared.items()},
            {str(feed.camera): counts for feed, counts in zip(self._feeds.streams, each, strict=True)},
        )

    def _of(self, feed: Feed, stream: Stream, delivery: Delivery, *, final: bool) -> Counts:
        """The counts of one stream."""
        channels = feed.channels
        dropped = {name: _causes(channel.dropped) for name, channel in channels.items()}
        of_driver = Counter(dropped[self._driver]) + delivery.dropped + stream.skipped
        if final:
            of_driver["unfinished"] = len(channels[self._driver].items) + stream.unfinished
        dropped[self._driver] = _causes({cause: count for cause, count in of_driver.items() if count})
        return Counts({name: channel.given for name, channel in channels.items()}, dropped)

    def summary(self) -> Summary:
        deliveries, counts = self._deliveries, self.counts(final=True)
        return Summary(
            seconds=(self._clock.now_ns() - self._started_ns) / 1e9,
            predictions=sum(delivery.predictions for delivery in deliveries),
            captured=counts.captured,
            dropped=counts.dropped,
            latency_ms=_figures([delivery.latency for delivery in deliveries], ordered=True),
            age_ms=_figures([delivery.age for delivery in deliveries]),
            deadline_missed=sum(delivery.deadline_missed for delivery in deliveries),
            cpu_seconds=cpu_seconds() - self._cpu_at_start,
            rss_mb=resident_mb(),
            engine=self.engine(),
            sources={keeper.source.name: keeper.figures() for keeper in self._source_keepers},
            sinks={keeper.sink.name: dict(keeper.channel.dropped) for keeper in self._sink_keepers},
            cameras={
                str(delivery.camera): _camera(delivery, counts.cameras[str(delivery.camera)]) for delivery in deliveries
            }
            if counts.cameras
            else UNSET,
        )


def _camera(delivery: Delivery, counts: Counts) -> CameraFigures:
    return CameraFigures(
        delivery.predictions,
        counts.captured,
        counts.dropped,
        _figures([delivery.latency], ordered=True),
        _figures([delivery.age]),
        delivery.deadline_missed,
    )


def _causes(dropped: Mapping[str, int]) -> dict[str, int]:
    return {"overrun": 0, "stale": 0, **dropped}


def _figures(each: Sequence[Mapping[str, Distribution]], *, ordered: bool = False) -> dict[str, dict[str, float]]:
    """Percentiles by name, over all streams."""
    names: Iterable[str] = {name: None for distributions in each for name in distributions}
    return {
        name: Distribution.merged(found[name] for found in each if name in found).figures(*PERCENTS)
        for name in (sorted(names) if ordered else names)
    }
