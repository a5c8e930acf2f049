"""One run of a bundle: its engine, sources, sinks and loop, made and ended here. Programs use Session instead."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from mm_edge.cores import usable_cores
from mm_edge.errors import MmEdgeError, WorkFailedError
from mm_edge.runtime.channel import Channel, Policy
from mm_edge.runtime.clock import Clock, MonotonicClock
from mm_edge.runtime.loop.align import Aligner, Stop
from mm_edge.runtime.loop.loop import Loop
from mm_edge.runtime.loop.nvtx import Ranges
from mm_edge.runtime.loop.stream import Stream
from mm_edge.runtime.loop.worker import Worker

from .blas import limit_worker_thread, single_threaded_blas
from .delivery import Delivery
from .engine.running_engine import RunningEngine
from .outlets import Outlets
from .realtime import Realtime
from .report import Report
from .rules import sync_rules
from .shutdown import END_WITHIN_S, Drain, Shutdown, join
from .sink_keeper import Item, SinkKeeper
from .source_keeper import SourceKeeper, wait_until_open
from .streams.cameras import cameras_of
from .streams.channels import choose_driver
from .streams.feeds import make_feeds
from .watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig
    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.engines.selection.tuned import Goal
    from mm_edge.runtime.sink import Counts, Sink, Summary
    from mm_edge.runtime.source import Source
    from mm_edge.runtime.trace import Trace
    from mm_edge.sample import Health

log = logging.getLogger(__name__)
SINKS_OPEN_WITHIN_S = 2.0  # one that takes longer is reported as stalled, and the run continues


class Run:
    """Runs until its driver has ended, `stop` is called, or a part fails for good. Use it as a context manager.

    `sources` feed inputs; an input without one is absent: masked, or zeros if the model has no mask. Several sources
    may feed a bundle's only picture input: each is a camera with moments of its own, and all share the loaded parts.
    `in_step`: the played sources share a clock that releases everything in the order of time.
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
        self._report = Report(self._clock)
        self.cameras = cameras_of(bundle.manifest, sources)  # by name; empty if each input has one source
        goal: Goal = "throughput" if config.sources.speed == "max" else "latency"
        self.running = RunningEngine(
            bundle, config, cameras=tuple(self.cameras.values()), engine=engine, goal=goal, trace=trace
        )
        try:
            self._assemble(sources, sinks, in_step=in_step)
        except BaseException:
            self.running.close()
            raise

    def _assemble(self, sources: Sequence[Source], sinks: Sequence[Sink], *, in_step: bool) -> None:
        """Everything that the loaded plan needs to run."""
        config, manifest, trace = self.config, self.bundle.manifest, self.trace
        lock = threading.Lock()
        bell = threading.Condition(lock)
        names = [source.input for source in sources]
        for source in sources:
            if (text := getattr(source, "text", None)) is not None:
                self.check(source.input, text)  # a fixed text; later ones are checked when they are set
        absent = frozenset(spec.name for spec in manifest.inputs) - set(names)
        rules = sync_rules(manifest, config)
        driver = choose_driver(manifest, config, names)
        feeds = make_feeds(sources, self.cameras, driver, lock, bell, rules=rules, in_step=in_step)
        self.channels, self.played = feeds.channels, feeds.played
        can_mask = any(read.source == "presence" for part in manifest.parts for read in part.reads.values())
        self._realtime = Realtime(config.realtime, lambda refusal: self.outlets.report("realtime", "refused", refusal))
        policy: Policy = "wait" if self.played else "drop_oldest"
        self.sink_keepers = [
            SinkKeeper(sink, policy, self._clock, self._sink_became, len(feeds.streams)) for sink in sinks
        ]
        self.outlets = Outlets(self.sink_keepers, self._clock, frozenset(self.cameras))
        self._deliveries = [
            Delivery(
                self.outlets,
                rules,
                self._clock,
                played=feed.played,
                absent=absent,
                deadline_ms=config.loop.deadline_ms,
                depth=self.running.depth,
                on_broken=self._broken,
                camera=feed.camera,
            )
            for feed in feeds.streams
        ]
        aligners = [
            Aligner(driver, rules, feed.channels, played=feed.played, absent=absent, can_mask=can_mask)
            for feed in feeds.streams
        ]
        made = zip(self.running.plans, aligners, self._deliveries, strict=True)
        streams = [Stream(number, *each, self.running.depth) for number, each in enumerate(made)]
        width = self.running.depth * self.running.plans[0].width * len(streams)
        workers = config.loop.workers or max(1, min(usable_cores(), width))
        self.loop = Loop(
            streams,
            self._clock,
            lock=lock,
            bell=bell,
            most_flying=max(self.running.depth, workers),
            reuse=not config.loop.every_part_every_tick,
        )
        self._ended = threading.Event()
        self._shutdown = Shutdown(self.running.close, self._last_worker_ended)
        self._drain = Drain(self.sink_keepers, self._clock, played=bool(self.played))
        self._drained = threading.Event()
        self._shutdown.workers = self.workers = self._make_workers(workers)
        self._go = threading.Event()
        self.source_keepers = [
            SourceKeeper(
                source,
                self.channels[self._channel_name(source)],
                self._clock,
                self._source_became,
                go=self._go,
                check=partial(self.check, source.input),
                can_open_later=source.name in self.cameras,
                trace=trace,
            )
            for source in sources
        ]
        self._watchdog = Watchdog(
            self.source_keepers, self.sink_keepers, self.channels, self._clock, ended=self._drained
        )
        self._report.follow(
            self.running,
            feeds,
            streams=streams,
            deliveries=self._deliveries,
            source_keepers=self.source_keepers,
            sink_keepers=self.sink_keepers,
            driver=driver,
            depth=self.running.depth,
            workers=len(self.workers),
        )
        self._improver = self.running.improver(
            driver, self.loop.replace_plans, partial(self.outlets.report, "engine"), played=bool(self.played)
        )
        self._error: Exception | None = None
        self._process_settings = ExitStack()  # of the whole process, changed while the run lasts
        self.summary: Summary | None = None
        self.left_behind = False  # threads that hang in a driver; a process that ends must not wait for them

    def _channel_name(self, source: Source) -> str:
        return source.name if source.name in self.cameras else source.input

    def _make_workers(self, count: int) -> list[Worker]:
        ranges = Ranges() if self.config.loop.nvtx else None
        return [
            Worker(
                number,
                self.loop,
                self.running.engine,
                prepare_thread=self._prepare_thread,
                ended=self._shutdown.worker_ended,
                trace=self.trace,
                ranges=ranges,
            )
            for number in range(count)
        ]

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Opens all sources at once and starts the loop. An absent source ends it here (exit code 3), unless it is one
        of several cameras; so does a sink that was given something impossible, such as a folder that is not there (2).
        """
        self._process_settings.enter_context(single_threaded_blas())
        self._process_settings.callback(self._realtime.end)
        self._realtime.begin()
        for keeper in self.source_keepers:
            keeper.start()
        wait_until_open(self.source_keepers, self.cameras)
        info = self._report.info(self.bundle.manifest)
        for sink_keeper in self.sink_keepers:
            sink_keeper.begin(info)
        for worker in self.workers:
            worker.start()
        self._watchdog.start()
        if self._improver is not None:
            self._improver.start()
        self._go.set()
        until_s = time.monotonic() + SINKS_OPEN_WITHIN_S
        for sink_keeper in self.sink_keepers:
            sink_keeper.tried_to_open.wait(max(0.0, until_s - time.monotonic()))
            if (mistake := sink_keeper.usage_error) is not None:
                raise mistake

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the end of the run. False: it still runs."""
        return self._ended.wait(seconds)

    def finish(self) -> None:
        """Ends the run after the moments in flight. From any thread."""
        self.loop.finish_flying()

    def hurry(self) -> None:
        """The end of the run takes a second at most: what the sinks have not taken by then is lost, and counted. From
        any thread, and from a signal handler: it takes no lock.
        """
        self._drain.hurried = True

    def stop(self) -> None:
        """Ends the run: everything that was predicted is delivered, unless the run is hurried. May be called again."""
        if self.summary is not None:
            return
        with ExitStack() as stack:
            stack.callback(self._shutdown.close_when_unused)
            stack.enter_context(self._process_settings)
            try:
                self._end_threads()
            except BaseException:  # Ctrl-C while it waits for a sink
                self.hurry()
                self._end_threads()
                raise

    def _end_threads(self) -> None:
        # Half of the time is for the sinks alone: a source or part that hangs must not cost the output.
        half_s = time.monotonic() + END_WITHIN_S / 2
        self.finish()
        if self._improver is not None:
            self._improver.stop()
        for keeper in self.source_keepers:
            keeper.stop()
        self._go.set()
        for channel in self.channels.values():
            channel.close()
        left = self._join_workers(half_s)
        self.loop.stop()
        self._ended.set()
        left += join(self.source_keepers, max(half_s, time.monotonic()))
        self.outlets.close_taps()
        self._drain.wait(half_s)
        until_s = time.monotonic() + END_WITHIN_S / 2
        self.summary = self._report.summary()
        for sink_keeper in self.sink_keepers:
            sink_keeper.end(self.summary)
        left += join(self.sink_keepers, until_s)
        self._drained.set()
        join([self._watchdog], until_s)
        # A library that compiles a graph cannot be interrupted, which is no fault.
        compiling = join([self._improver], until_s) if self._improver is not None else []
        self.left_behind = bool(left or compiling)
        if left:
            log.warning("these threads did not end in time and were left running: %s", ", ".join(left))

    def _join_workers(self, until_s: float) -> list[str]:
        """Waits longer while a worker waits for a sink of a played run."""
        while left := self._shutdown.join_workers(until_s):
            if self._drain.hurried or not any(keeper.blocks for keeper in self.sink_keepers):
                break
            until_s = time.monotonic() + END_WITHIN_S / 2
        return left

    def __enter__(self) -> Run:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):  # Ctrl-C
            self.hurry()
        self.stop()

    # --- results ---------------------------------------------------------------------------------------------

    @contextmanager
    def tap(self, capacity: int) -> Iterator[Channel[Item]]:
        """What the sinks get, for a reader in its own thread: the newest items of a live run, all of a played one."""
        channel: Channel[Item] = Channel(capacity, "wait" if self.played else "drop_oldest")
        self.outlets.add(channel)
        if self._ended.is_set():
            channel.close()
        try:
            yield channel
        finally:
            self.outlets.remove(channel)
            channel.close()

    def raise_error(self) -> None:
        """Raises what ended the run, unless it ended as intended; a requested sink that failed counts as an error."""
        if self._error is not None:
            raise self._error
        for worker in self.workers:  # second: failing to detach from a lost device is only a consequence
            if worker.error is not None:
                raise worker.error
        over = self.loop.over
        if isinstance(over, Stop):
            raise WorkFailedError(f"the input '{over.input}' was missing", action='its rule says missing = "stop"')
        for keeper in self.source_keepers:
            if keeper.first_error is not None:
                raise keeper.first_error
        for sink_keeper in self.sink_keepers:
            if (failure := sink_keeper.failure) is not None:
                raise failure

    def describe(self) -> dict[str, Any]:
        """What really runs."""
        return self._report.engine()

    def counts(self) -> Counts:
        """Captures and losses so far. From any thread."""
        return self._report.counts()

    def check(self, name: str, payload: Any) -> None:
        """Raises an InputError if the model cannot use `payload` for the input `name`."""
        shape = self.bundle.manifest.fixed(self.bundle.manifest.input(name).shape)
        self.running.preparers()[name].check(payload, shape[0])

    @property
    def predictions(self) -> int:
        """How many were made so far."""
        return sum(delivery.predictions for delivery in self._deliveries)

    @property
    def states(self) -> dict[str, Health]:
        return {keeper.source.name: keeper.state for keeper in self.source_keepers}

    # --- callbacks -------------------------------------------------------------------------------------------

    def _source_became(self, name: str, state: Health, detail: str) -> None:
        impaired = {
            keeper.source.name
            for keeper in self.source_keepers
            if keeper.refused or keeper.state in {"stale", "lost", "reconnecting"}
        }
        for delivery in self._deliveries:  # another camera's loss does not concern it
            delivery.impaired = bool(impaired - (self.cameras.keys() - {delivery.camera}))
        self.outlets.report(name, state, detail)

    def _sink_became(self, name: str, state: str, detail: str) -> None:
        self.outlets.report(name, state, detail)
        kept = [keeper for keeper in self.sink_keepers if not getattr(keeper.sink, "is_status", False)]
        if state == "ended" and all(keeper.over for keeper in kept) and not self.outlets.is_tapped:
            self.finish()  # the run would go on for nobody

    def _prepare_thread(self) -> None:
        limit_worker_thread()
        self._realtime.prepare_thread()

    def _broken(self, error: Exception) -> None:
        if self._error is None:  # later errors may only be consequences
            self._error = (
                error
                if isinstance(error, MmEdgeError)
                else WorkFailedError(
                    f"{error}", action="running the bundle's parts", hint="mm-edge verify BUNDLE; mm-edge doctor"
                )
            )
        self.loop.stop()

    def _last_worker_ended(self) -> None:
        self._ended.set()
        self.outlets.close_taps()
