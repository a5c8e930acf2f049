"""The current status of a run, shown by the terminal table and the live page."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from mm_edge.runtime.clock import NS_PER_S
from mm_edge.sample import Event, Prediction
from mm_edge.spec import modality_of

from .lines import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mm_edge.runtime.clock import Clock
    from mm_edge.runtime.sink import Counts, RunInfo, Summary
    from mm_edge.sample import InputAge
    from mm_edge.spec import InputSpec, OutputSpec

RECENT = 300  # predictions in the percentiles: ten seconds at 30 per second
RATE_WINDOW_NS = 3 * NS_PER_S
EVENTS_KEPT = 20
IMPAIRED = frozenset({"stale", "lost", "reconnecting", "refused"})


class Spread(Struct, frozen=True):
    """Percentiles of the last RECENT values, in milliseconds."""

    last: float
    p50: float
    p99: float


class InputView(Struct, frozen=True):
    """One input, or one of several cameras that feed it. `rate_hz` counts all its captures, used or not; `source`
    describes what feeds it.
    """

    modality: str
    name: str  # its source's name in events and `sources`
    source: str
    state: str  # fresh, held, missing; waiting before the first prediction
    seq: int | None
    age_ms: Spread | None
    rate_hz: float | None
    captured: int | None
    dropped: dict[str, int]


class SourceView(Struct, frozen=True):
    """One source: its last state change and how long ago it was."""

    state: str
    detail: str
    since_s: float


class CameraView(Struct, frozen=True):
    """One of several cameras. `outputs` are those of its newest prediction."""

    predictions: int
    rate_hz: float
    outputs: dict[str, Any]


class EventView(Struct, frozen=True):
    """One event, `ago_s` before the snapshot."""

    t_ns: int
    ago_s: float
    source: str
    state: str
    detail: str


class RunView(Struct, frozen=True):
    """A snapshot of the run. The live page serves it as JSON at /api/state."""

    model: str
    version: int
    t_ns: int
    running_s: float
    idle_s: float | None  # since the last prediction
    health: str  # ok, degraded; starting before the first prediction, ended after the last
    predictions: int
    rate_hz: float
    deadline_missed: int
    inputs: dict[str, InputView]  # by name; several cameras by theirs, instead of the input that they feed
    sources: dict[str, SourceView]
    stages: dict[str, Spread]  # latency by stage; `total` is from capture to delivery
    outputs: dict[str, Any]
    kinds: dict[str, str]  # of the outputs: classes, labels, boxes, heatmap, point, text, embedding, scores, similarity
    engine: dict[str, Any]
    events: list[EventView]
    summary: dict[str, Any] | None
    cameras: dict[str, CameraView] | UnsetType = UNSET  # by name, if several run


class _Mark(NamedTuple):
    """Counters at a point in time; two of them give a rate."""

    t_ns: int
    predictions: int
    seqs: Mapping[str, int | None]
    by_camera: Mapping[str, int]


class Tally:
    """take() is cheap and is called from one thread; view() is slower and may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._run: RunInfo | None = None
        self._started_ns = clock.now_ns()
        self._latest: Prediction | None = None
        self._latest_ns = 0
        self._ages_of: dict[str, InputAge] = {}  # of the newest prediction that has it, by input or camera
        self._of_camera: dict[str, Prediction] = {}  # the newest
        self._by_camera: Counter[str] = Counter()  # predictions
        self._predictions = self._missed = 0
        self._stages: dict[str, deque[float]] = {}
        self._ages: dict[str, deque[float]] = {}
        self._marks: deque[_Mark] = deque()
        self._sources: dict[str, Event] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._summary: Summary | None = None

    def open(self, run: RunInfo) -> None:
        with self._lock:
            self._run, self._started_ns = run, self._clock.now_ns()

    def take(self, item: Prediction | Event | Summary) -> None:
        with self._lock:
            if isinstance(item, Prediction):
                self._take_prediction(item)
            elif isinstance(item, Event):
                self._sources[item.source] = item
                self._events.append(item)
            else:
                self._summary = item

    def _take_prediction(self, prediction: Prediction) -> None:
        now_ns = self._clock.now_ns()
        self._latest, self._latest_ns = prediction, now_ns
        self._predictions += 1
        self._missed += prediction.deadline_missed
        for stage, ms in prediction.latency_ms.items():
            self._remember(self._stages, stage, ms)
        camera = prediction.camera
        if camera is not None:
            self._of_camera[camera] = prediction
            self._by_camera[camera] += 1
        for name, age in prediction.inputs.items():
            shown = camera if camera is not None and self._run and name == self._run.camera_input else name
            self._ages_of[shown] = age
            if age.age_ms is not None:
                self._remember(self._ages, shown, age.age_ms)
        marks = self._marks
        # A mark every tenth of the window is enough for a rate at any speed.
        if not marks or now_ns - marks[-1].t_ns > RATE_WINDOW_NS // 10:
            seqs = {name: age.seq for name, age in self._ages_of.items()}
            marks.append(_Mark(now_ns, self._predictions, seqs, dict(self._by_camera)))
            while marks[0].t_ns < now_ns - RATE_WINDOW_NS:
                marks.popleft()

    @staticmethod
    def _remember(where: dict[str, deque[float]], name: str, ms: float) -> None:
        values = where.get(name)
        if values is None:
            values = where[name] = deque(maxlen=RECENT)
        values.append(ms)

    def view(self) -> RunView:
        now_ns = self._clock.now_ns()
        run = self._run
        with self._lock:
            stages = {stage: tuple(values) for stage, values in self._stages.items()}
            ages = {name: tuple(values) for name, values in self._ages.items()}
            events, states = tuple(self._events), dict(self._sources)
            latest, latest_ns, summary = self._latest, self._latest_ns, self._summary
            ages_of, by_camera, of_camera = dict(self._ages_of), dict(self._by_camera), dict(self._of_camera)
            predictions, missed, mark = self._predictions, self._missed, self._marks[0] if self._marks else None
        flowing = latest is not None and now_ns - latest_ns < RATE_WINDOW_NS
        seconds = (latest_ns - mark.t_ns) / NS_PER_S if mark and flowing else 0.0
        rates = _rates(ages_of, mark, seconds)
        return RunView(
            model=run.manifest.name if run else "",
            version=run.manifest.version if run else 0,
            t_ns=now_ns,
            running_s=(now_ns - self._started_ns) / NS_PER_S,
            idle_s=(now_ns - latest_ns) / NS_PER_S if latest else None,
            health="ended" if summary else _health(latest, states.values()),
            predictions=predictions,
            rate_hz=(predictions - mark.predictions) / seconds if mark and seconds else 0.0,
            deadline_missed=missed,
            inputs=_inputs(run, ages_of, ages, rates) if run else {},
            sources={
                name: SourceView(event.state, event.detail, _ago_s(event, now_ns)) for name, event in states.items()
            },
            stages={stage: recent for stage, values in stages.items() if (recent := spread(values))},
            outputs=dict(latest.outputs) if latest else {},
            kinds={output.name: kind_of(output) for output in run.manifest.outputs} if run else {},
            engine=dict(run.engine) if run else {},
            events=[EventView(e.t_ns, _ago_s(e, now_ns), e.source, e.state, e.detail) for e in events],
            summary=as_json(summary) if summary else None,
            cameras={
                name: CameraView(
                    by_camera.get(name, 0),
                    (by_camera.get(name, 0) - mark.by_camera.get(name, 0)) / seconds if mark and seconds else 0.0,
                    dict(of_camera[name].outputs) if name in of_camera else {},
                )
                for name in run.cameras
            }
            if run and run.cameras
            else UNSET,
        )


def _health(latest: Prediction | None, states: Iterable[Event]) -> str:
    """While the driver input is lost there is no prediction that could report it."""
    if any(event.state in IMPAIRED for event in states):
        return "degraded"
    return latest.health if latest else "starting"


def _rates(ages_of: Mapping[str, InputAge], mark: _Mark | None, seconds: float) -> dict[str, float]:
    """Captures per second, from the sequence numbers then and now."""
    if mark is None or not seconds:
        return {}
    pairs = {name: (mark.seqs.get(name), age.seq) for name, age in ages_of.items()}
    return {name: (now - then) / seconds for name, (then, now) in pairs.items() if then is not None and now is not None}


def _inputs(
    run: RunInfo, ages_of: Mapping[str, InputAge], ages: Mapping[str, Sequence[float]], rates: Mapping[str, float]
) -> dict[str, InputView]:
    counts = run.counts() if run.counts else None

    def view(spec: InputSpec, shown: str, name: str, source: str, own: Counts | None) -> InputView:
        age = ages_of.get(shown)
        return InputView(
            modality=modality_of(spec),
            name=name,
            source=source,
            state=age.state if age else "waiting",
            seq=age.seq if age else None,
            age_ms=spread(ages.get(shown, ())) if age and age.seq is not None else None,
            rate_hz=rates.get(shown),
            captured=own.captured.get(spec.name) if own else None,
            dropped=dict(own.dropped.get(spec.name, {})) if own else {},
        )

    views = {}
    for spec in run.manifest.inputs:
        if spec.name == run.camera_input:
            for camera, source in run.cameras.items():
                own = counts.cameras.get(camera) if counts else None
                views[camera] = view(spec, camera, camera, source, own)
        else:
            source = run.sources.get(spec.name, "")
            views[spec.name] = view(spec, spec.name, run.names.get(spec.name, ""), source, counts)
    return views


def kind_of(output: OutputSpec) -> str:
    return str(output.__struct_config__.tag)


def _ago_s(event: Event, now_ns: int) -> float:
    return round((now_ns - event.t_ns) / NS_PER_S, 3)


def spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return Spread(values[-1], ordered[round(last * 0.50)], ordered[round(last * 0.99)])
