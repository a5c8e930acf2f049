"""What every sink is: a place that predictions, events and the closing summary go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.sample import Event, Prediction


class Counts(Struct, frozen=True):
    """What only the loop knows while it runs: captures by input, and losses by input and cause."""

    captured: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]


class RunInfo(Struct, frozen=True):
    """What a sink is told when the run starts: the bundle, what feeds each input, and what really runs."""

    manifest: Manifest
    sources: Mapping[str, str]  # by input: what was opened, in words
    engine: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)  # by input: how events call its source
    counts: Callable[[], Counts] | None = None  # as they stand; from any thread


class Summary(Struct, frozen=True):
    """The run in figures, in the shape of the contract's closing line (docs and tests hold the two together)."""

    seconds: float
    predictions: int
    captured: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    latency_ms: Mapping[str, Mapping[str, float]]
    age_ms: Mapping[str, Mapping[str, float]]
    deadline_missed: int
    cpu_seconds: float
    rss_mb: float
    engine: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # what each driver tells of itself
    sinks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # what each sink lost, by cause


class Sink(Protocol):
    """Runs in a thread of its own behind a bounded channel: a slow one loses its own items, counted, and stalls
    nobody.
    """

    name: str
    wants_samples: bool  # whether it reads Prediction.sources: pictures that wait for a slow sink cost much memory

    def open(self, run: RunInfo) -> None: ...

    def take(self, item: Prediction | Event | Summary) -> None: ...

    def close(self) -> None: ...
