"""A session: one bundle, its sources and its sinks, running. Everything that a run needs is made here, and ended
here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from mm_edge.cores import usable_cores
from mm_edge.errors import MmEdgeError, WorkFailedError
from mm_edge.runtime.channel import Channel, DriverChannel, Policy, SampleChannel
from mm_edge.runtime.clock import Clock, MonotonicClock
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.selection.select_engine import Use, settle
from mm_edge.runtime.loop.align import Aligner, Stop
from mm_edge.runtime.loop.loop import Loop
from mm_edge.runtime.loop.nvtx import Ranges
from mm_edge.runtime.loop.plan import build_plan
from mm_edge.runtime.loop.worker import Lane
from mm_edge.runtime.prepare import preparers
from mm_edge.runtime.process import cpu_seconds, give_back_freed, resident_mb
from mm_edge.runtime.sink import Counts, RunInfo, Summary

from .delivery import Delivery
from .realtime import Realtime
from .sink_keeper import Item, SinkKeeper
from .source_keeper import SourceKeeper

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig
    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.engines.selection.select_engine import Settled
    from mm_edge.runtime.sink import Sink
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.trace import Trace
    from mm_edge.sample import Health

log = logging.getLogger(__name__)
DRIVER_AHEAD = 4  # frames that a played driver may be read ahead, so that decoding overlaps inference
FOLLOWER_CAPACITY = 1024  # of a played input: a fast sensor between two pictures; a live one needs far less
WATCH_EVERY_S = 0.1
END_WITHIN_S = 0.8  # of a stop; what has not come back by then is left behind, and told
OPEN_WITHIN_S = 15.0
PERCENTS = (50, 90, 99)


class Session:
    """Runs until its driver has ended, `stop` is called, or a part fails for good. Use it as a context manager.

    `sources` feed inputs; an input without one is absent: masked, or zeros where the model knows no mask. `in_step`:
    the played ones share a clock that lets everything out in the order of time.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: RunConfig,
        sources: Sequence[Source],
        sinks: Sequence[Sink],
        *,
        in_step: bool = False,
        engine: Engine | None = None,
        clock: Clock | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.bundle, self.config, self.trace = bundle, config, trace
        self._clock = clock or MonotonicClock()
        self._started_ns = self._clock.now_ns()
        self._cpu_at_start = cpu_seconds()
        manifest = bundle.manifest
        self.depth = config.loop.depth  # fewer where a device has too little memory for it
        # Made while graphs load, which leaves the interpreter free for the packages that prepare.
        self._preparers = cache(partial(preparers, manifest.inputs, bundle.read))
        use = Use(self._preparers, self._fit)
        self._settled = settle(bundle, config.engine, depth=self.depth, engine=engine, use=use)
        self.engine = self._settled.engine
        bundle.release()
        give_back_freed()
        try:
            self._put_together(sources, sinks, in_step=in_step)
        except BaseException:
            self._settled.close()
            raise

    def _put_together(self, sources: Sequence[Source], sinks: Sequence[Sink], *, in_step: bool) -> None:
        """What the plan needs to run."""
        config, manifest, plan, trace = self.config, self.bundle.manifest, self._plan, self.trace
        lock = threading.Lock()
        bell = threading.Condition(lock)
        names = [source.input for source in sources]
        self.absent = frozenset(spec.name for spec in manifest.inputs) - set(names)
        self.driver = self._choose_driver(names)
        driver_live = next(source.live for source in sources if source.input == self.driver)
        # A live driver waits for nothing; with a played one nothing that is played is lost.
        self.played = frozenset() if driver_live else frozenset(source.input for source in sources if not source.live)
        self.channels = self._channels(sources, lock, bell, in_step=in_step)
        rules = {**manifest.sync.inputs, **config.sync}
        can_mask = any(read.source == "presence" for part in manifest.parts for read in part.reads.values())
        self.aligner = Aligner(
            self.driver, rules, self.channels, played=self.played, absent=self.absent, can_mask=can_mask
        )

        self._realtime = Realtime(config.realtime, lambda refusal: self.tell("realtime", "refused", refusal))
        self.sink_keepers = [
            SinkKeeper(sink, "wait" if self.played else "drop_oldest", self._clock, self.tell) for sink in sinks
        ]
        self.delivery = Delivery(
            self.sink_keepers,
            rules,
            self._clock,
            played=self.played,
            absent=self.absent,
            deadline_ms=config.loop.deadline_ms,
            on_broken=self._broken,
        )
        self.loop = Loop(
            plan,
            self.aligner,
            self.delivery,
            self._clock,
            lock=lock,
            bell=bell,
            depth=self.depth,
            reuse=not config.loop.every_part_every_tick,
        )
        count = config.loop.lanes or max(1, min(usable_cores(), self.depth * plan.width))
        ranges = Ranges() if config.loop.nvtx else None
        self.lanes = [
            Lane(
                number,
                self.loop,
                self.engine,
                prepare_thread=self._realtime.prepare_thread,
                left=self._lane_left,
                trace=trace,
                ranges=ranges,
            )
            for number in range(count)
        ]
        self._go = threading.Event()
        self.source_keepers = [
            SourceKeeper(
                source, self.channels[source.input], self._clock, self._source_became, go=self._go, trace=trace
            )
            for source in sources
        ]
        self._watch = threading.Thread(target=self._watch_over, name="mm-edge-watch", daemon=True)
        self._ended = threading.Event()
        self._leaving, self._lanes_left = threading.Lock(), 0
        self._error: Exception | None = None
        self._begun = False
        self.summary: Summary | None = None
        self.left_behind = False  # threads that hang in a driver; a process that wants to end must not wait for them

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Opens the sources, all at once, and lets the loop go. A source that is not there ends it here (exit code
        3).
        """
        self._begun = True
        self._realtime.begin()
        for keeper in self.source_keepers:
            keeper.start()
        until_s = time.monotonic() + OPEN_WITHIN_S
        for keeper in self.source_keepers:
            if not keeper.settled.wait(max(0.0, until_s - time.monotonic())):
                raise WorkFailedError(
                    f"it did not open within {OPEN_WITHIN_S:.0f} s",
                    action=f"opening {keeper.source.name}",
                    hint="mm-edge devices shows what is there",
                )
            if keeper.first_error is not None:
                raise keeper.first_error
        info = RunInfo(
            self.bundle.manifest,
            {keeper.source.input: keeper.opened.detail if keeper.opened else "" for keeper in self.source_keepers},
            self.describe(),
            names={keeper.source.input: keeper.source.name for keeper in self.source_keepers},
            counts=self.counts,
        )
        for sink_keeper in self.sink_keepers:
            sink_keeper.begin(info)
        for lane in self.lanes:
            lane.start()
        self._watch.start()
        self._go.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the end of the run. False: it goes on."""
        return self._ended.wait(seconds)

    def wait_for(self, seconds: float | None, interrupted: threading.Event) -> None:
        """Waits for the end of the run, for `seconds` at most, or until `interrupted` is set."""
        until_s = None if seconds is None else time.monotonic() + seconds
        while not interrupted.is_set():
            left_s = WATCH_EVERY_S if until_s is None else min(WATCH_EVERY_S, until_s - time.monotonic())
            if left_s <= 0 or self.wait(left_s):
                return

    def stop(self) -> None:
        """Ends the run: no further moment begins, those in flight are finished if they hurry. May be called again."""
        if self.summary is not None:
            return
        until_s = time.monotonic() + END_WITHIN_S
        # Sinks have half of the time to themselves: what a hanging source or part takes must not cost the output.
        half_s = until_s - END_WITHIN_S / 2
        self._stop_sources()
        left = _join(self.lanes, half_s)
        self.loop.stop()
        self._ended.set()
        left += _join(self.source_keepers, half_s)
        self.delivery.close_taps()
        self.summary = self._sum_up()
        for sink_keeper in self.sink_keepers:
            sink_keeper.end(self.summary)
        left += _join(self.sink_keepers, until_s)
        self.left_behind = bool(left)
        if left:
            log.warning("left behind, because they did not come back in time: %s", ", ".join(left))
        if self._begun:
            self._realtime.end()
        if not any(lane.is_alive() for lane in self.lanes):
            self._settled.close()

    def _stop_sources(self) -> None:
        self.loop.finish_flying()
        for keeper in self.source_keepers:
            keeper.stop()
        self._go.set()
        for channel in self.channels.values():
            channel.close()

    @contextmanager
    def tap(self, capacity: int) -> Iterator[Channel[Item]]:
        """What the sinks get, for a reader in a thread of its own: the newest where the run is live, everything where
        it is played.
        """
        channel: Channel[Item] = Channel(capacity, "wait" if self.played else "drop_oldest")
        self.delivery.add(channel)
        if self._ended.is_set():
            channel.close()
        try:
            yield channel
        finally:
            self.delivery.remove(channel)
            channel.close()

    def raise_error(self) -> None:
        """Raises what ended the run, if it was not meant to end; a sink that was asked for and failed counts."""
        if self._error is not None:
            raise self._error
        for lane in self.lanes:  # after it, as a lane that cannot let go of a lost device only follows from that
            if lane.error is not None:
                raise lane.error
        over = self.loop.over
        if isinstance(over, Stop):
            raise WorkFailedError(f"the input '{over.input}' was missing", action='its rule says missing = "stop"')
        for keeper in self.source_keepers:
            if keeper.first_error is not None:
                raise keeper.first_error
        for sink_keeper in self.sink_keepers:
            if sink_keeper.error is not None:
                found = sink_keeper.error
                raise (
                    found
                    if isinstance(found, MmEdgeError)
                    else WorkFailedError(f"{found}", action=f"writing to {sink_keeper.sink.name}")
                ) from found

    def __enter__(self) -> Session:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- what is told ----------------------------------------------------------------------------------------

    def tell(self, source: str, state: str, detail: str) -> None:
        self.delivery.tell(source, state, detail)

    def describe(self) -> dict[str, Any]:
        """What really runs."""
        return {
            **self._settled.describe(),
            "depth": self.depth,
            "lanes": len(self.lanes),
            "driver": self.driver,
        }

    def counts(self) -> Counts:
        """Captures and losses as they stand; once the run has ended, captured = predictions + dropped for the
        driver.
        """
        dropped = {name: {"overrun": 0, "stale": 0, **channel.dropped} for name, channel in self.channels.items()}
        of_driver = Counter(dropped[self.driver]) + self.delivery.dropped + self.loop.skipped
        if self.summary is None and self._ended.is_set():
            of_driver["unfinished"] = len(self.channels[self.driver].items) + self.loop.unfinished
        dropped[self.driver] = {
            "overrun": 0,
            "stale": 0,
            **{cause: count for cause, count in of_driver.items() if count},
        }
        return Counts({name: channel.given for name, channel in self.channels.items()}, dropped)

    @property
    def states(self) -> dict[str, Health]:
        return {keeper.source.name: keeper.state for keeper in self.source_keepers}

    # --- inside ----------------------------------------------------------------------------------------------

    def _fit(self, settled: Settled) -> None:
        """Makes the plan with all its buffers; where a device has no room for them, for fewer moments in flight."""
        if self.trace is not None:
            settled.engine.trace_to(self.trace)
        manifest, read = self.bundle.manifest, self.bundle.read
        self._plan = build_plan(manifest, settled.executables, settled.engine, self._preparers(), read)
        for depth in range(self.config.loop.depth, 0, -1):
            try:
                self._plan.own_places(depth)
            except DeviceMemoryError as error:
                self._plan.drop_places()
                if depth == 1:
                    raise
                told = f"{depth - 1} instead of {depth} moments in flight: {error.found}"
                log.warning("%s", told)
                settled.fell.append(told)
            else:
                self.depth = depth
                return

    def _choose_driver(self, names: Sequence[str]) -> str:
        wanted = self.config.driver or self.bundle.manifest.sync.driver
        if wanted in names:
            return wanted
        fallback = [spec.name for spec in self.bundle.manifest.inputs if spec.name in names]
        if not fallback or self.config.driver:
            raise WorkFailedError(
                f"nothing feeds '{wanted}'",
                action="choosing the input that drives the run",
                hint="Give it a source, as --camera, --mic or --text",
            )
        log.warning("'%s' has no source; '%s' drives the run instead", wanted, fallback[0])
        return fallback[0]

    def _channels(
        self, sources: Sequence[Source], lock: threading.Lock, bell: threading.Condition, *, in_step: bool
    ) -> dict[str, SampleChannel]:
        channels: dict[str, SampleChannel] = {}
        for source in sources:
            policy: Policy = "wait" if source.input in self.played else "drop_oldest"
            if source.input != self.driver:
                channels[source.input] = SampleChannel(FOLLOWER_CAPACITY, policy, lock, bell)
        driver = next(source for source in sources if source.input == self.driver)
        capacity, policy = (1, "drop_oldest") if driver.live else (DRIVER_AHEAD, "wait")
        made = DriverChannel(capacity, policy, lock, bell)
        if in_step:
            made.others = [channel for name, channel in channels.items() if name in self.played]
        return {self.driver: made, **channels}

    def _source_became(self, name: str, state: Health, detail: str) -> None:
        self.delivery.impaired = any(
            keeper.state in {"stale", "lost", "reconnecting"} for keeper in self.source_keepers
        )
        self.tell(name, state, detail)

    def _broken(self, error: Exception) -> None:
        if self._error is None:  # what fails after it may only follow from it
            self._error = (
                error
                if isinstance(error, MmEdgeError)
                else WorkFailedError(
                    f"{error}", action="running the bundle's parts", hint="mm-edge verify BUNDLE; mm-edge doctor"
                )
            )
        self.loop.stop()

    def _lane_left(self) -> None:
        """The last lane to leave ends the run."""
        with self._leaving:
            self._lanes_left += 1
            if self._lanes_left == len(self.lanes):
                self._ended.set()
                self.delivery.close_taps()

    def _watch_over(self) -> None:
        reported: Counter[str] = Counter()
        next_report_s = 0.0
        while not self._ended.wait(WATCH_EVERY_S):
            now_ns = self._clock.now_ns()
            for source_keeper in self.source_keepers:
                source_keeper.check(now_ns)
            for sink_keeper in self.sink_keepers:
                sink_keeper.check(now_ns)
            if time.monotonic() >= next_report_s:
                next_report_s = time.monotonic() + 1.0
                reported = self._report_drops(reported)

    def _report_drops(self, before: Counter[str]) -> Counter[str]:
        """At most one line a second, however much is dropped."""
        now = Counter(
            {
                f"{name} {cause}": count
                for name, channel in self.channels.items()
                for cause, count in channel.dropped.items()
                if cause != "superseded"
            }
        )
        now.update(
            {
                f"sink.{keeper.sink.name} {cause}": count
                for keeper in self.sink_keepers
                for cause, count in keeper.channel.dropped.items()
            }
        )
        if new := now - before:
            log.debug("dropped in the last second: %s", ", ".join(f"{name} {count}" for name, count in new.items()))
        return now

    def _sum_up(self) -> Summary:
        figures = self.delivery
        counts = self.counts()
        return Summary(
            seconds=(self._clock.now_ns() - self._started_ns) / 1e9,
            predictions=figures.predictions,
            captured=counts.captured,
            dropped=counts.dropped,
            latency_ms={label: values.figures(*PERCENTS) for label, values in sorted(figures.latency.items())},
            age_ms={name: values.figures(*PERCENTS) for name, values in figures.age.items()},
            deadline_missed=figures.deadline_missed,
            cpu_seconds=cpu_seconds() - self._cpu_at_start,
            rss_mb=resident_mb(),
            engine=self.describe(),
            sources={keeper.source.name: dict(keeper.source.figures()) for keeper in self.source_keepers},
            sinks={keeper.sink.name: dict(keeper.channel.dropped) for keeper in self.sink_keepers},
        )


def _join(threads: Sequence[threading.Thread], until_s: float) -> list[str]:
    """Waits for threads that were started; gives the names of those that still run."""
    started = [thread for thread in threads if thread.ident is not None]
    for thread in started:
        thread.join(max(0.0, until_s - time.monotonic()))
    return [thread.name for thread in started if thread.is_alive()]
