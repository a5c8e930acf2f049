"""The shared state of all scenarios: bundle, configuration, inputs, and results for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.benchmarks.bench.feeds import Feeds
from mm_edge.benchmarks.bench.yardstick import Yardstick
from mm_edge.cores import usable_cores
from mm_edge.runtime.engines.selection.choose import choose_precisions, open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mm_edge.benchmarks.bench.figure import Span
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import EngineConfig, RunConfig
    from mm_edge.runtime.engine import Engine


class Setting:
    """Created once per run. `path` is the bundle's file, for child processes; `take` is optional."""

    def __init__(
        self,
        bundle: Bundle,
        path: Path,
        config: RunConfig,
        take: Path | None = None,
        open_it: Callable[[EngineConfig], Engine] = open_engine,
    ) -> None:
        self.bundle, self.path, self.config, self.take, self.open_it = bundle, path, config, take, open_it
        self.cores = usable_cores()
        self.feeds, self.yardstick = Feeds(bundle.manifest), Yardstick()
        self.precisions = choose_precisions(bundle.manifest, self.engine().family, config.engine.precision)
        self.spans: tuple[Span, ...] = ()
        self.ages: dict[str, tuple[tuple[float, float], ...]] = {}
        self.notes: list[str] = []
        self.shortest_ms = float("inf")  # the shortest timing
        self.calls_a_reading = 1  # of the shortest

    def engine(self) -> Engine:
        """A new engine, so that each round loads everything again, as memory layout affects timings."""
        return self.open_it(self.config.engine)

    def describe(self) -> dict[str, Any]:
        return {**self.engine().describe(), "precision": dict(self.precisions)}

    def with_loop(self, **changes: Any) -> RunConfig:
        return msgspec.structs.replace(self.config, loop=msgspec.structs.replace(self.config.loop, **changes))

    def with_threads(self, threads: int) -> RunConfig:
        engine = msgspec.structs.replace(self.config.engine, threads=threads)
        return msgspec.structs.replace(self.config, engine=engine)
