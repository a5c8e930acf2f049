"""The interface of a sink, which gets predictions, events and the closing summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET, Struct, UnsetType, field

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.sample import Event, Prediction


class Counts(Struct, frozen=True):
    """Counts of a run so far: captures by input, and losses by input and cause. `cameras`: the same for each camera, if
    several run; what all share is counted once above.
    """

    captured: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    cameras: Mapping[str, Counts] = {}


class RunInfo(Struct, frozen=True):
    """What a sink gets at the start of a run: the bundle, the source of each input, and what really runs."""

    manifest: Manifest
    sources: Mapping[str, str]  # by input: what was opened, as text
    engine: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)  # by input: the name of its source in events
    counts: Callable[[], Counts] | None = None  # so far; callable from any thread
    cameras: Mapping[str, str] = {}  # by name, if several feed one input: what was opened
    camera_input: str = ""  # the input that they feed


class CameraFigures(Struct, frozen=True):
    """The figures of one of several cameras. For the input that it feeds, captured = predictions + dropped."""

    predictions: int
    captured: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    latency_ms: Mapping[str, Mapping[str, float]]
    age_ms: Mapping[str, Mapping[str, float]]
    deadline_missed: int


class Summary(Struct, frozen=True):
    """The figures of the run, in the format of the closing JSON line (tests keep both in agreement)."""

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
    sources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # the figures of each driver
    sinks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # what each sink dropped, by cause
    cameras: Mapping[str, CameraFigures] | UnsetType = UNSET  # by name, if several run


class ReaderGoneError(WorkFailedError):
    """Raised by a sink's `take` when nobody reads what it writes. The sink ends, and the run if it was the only one;
    that is no fault of either.
    """


class ItemLostError(WorkFailedError):
    """Raised by a sink's `take` when this item is lost and later ones may succeed, as on a full disk. The sink gets the
    next item; what it lost is counted. The run has failed if the sink has not recovered by its end.
    """


class Sink(Protocol):
    """Runs in its own thread behind a bounded channel: a slow sink loses its own items, which are counted, and delays
    nothing else. A sink with `is_status = True` only shows the state of a run, and is no reason for it to continue.
    """

    name: str
    wants_samples: bool  # whether it reads Prediction.sources: images that wait for a slow sink use much memory

    def open(self, run: RunInfo) -> None: ...

    def take(self, item: Prediction | Event | Summary) -> None: ...

    def close(self) -> None: ...
