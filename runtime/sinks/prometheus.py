"""The run as Prometheus metrics. The live page serves them at /metrics; `text` returns the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily

from mm_edge.sample import Event, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mm_edge.runtime.sink import Counts, RunInfo, Summary

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# From a fast stage to a slow model, about two buckets per octave in the usual range.
LATENCY_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SOURCE_STATES = ("starting", "live", "stale", "lost", "reconnecting", "refused", "ended")


class PrometheusSink:
    """Uses its own registry, so that a program that embeds the runtime keeps its default registry clean."""

    name = "prometheus"
    wants_samples = False

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._info = Info("mm_edge_run", "The model and engine of the run", registry=registry)
        self._predictions = Counter("mm_edge_predictions", "Predictions made", registry=registry)
        self._missed = Counter("mm_edge_deadlines_missed", "Predictions later than the deadline", registry=registry)
        self._degraded = Gauge("mm_edge_degraded", "1 while a required input is missing", registry=registry)
        self._latency = Histogram(
            "mm_edge_latency_seconds",
            "Latency by stage; total is from capture to delivery",
            ["stage"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._age = Gauge("mm_edge_input_age_seconds", "Age of an input when it was used", ["input"], registry=registry)
        self._missing = Counter(
            "mm_edge_input_missing", "Predictions made without the input", ["input"], registry=registry
        )
        self._state = Gauge(
            "mm_edge_source_state", "1 for the current state of a source", ["source", "state"], registry=registry
        )
        # Looking up a child by its label costs more than incrementing it.
        self._stages: dict[str, Histogram] = {}
        self._ages: dict[str, Gauge] = {}
        self._camera_input = ""
        self._of_cameras: tuple[Counter, Gauge] | None = None

    def open(self, run: RunInfo) -> None:
        engine = {key: str(value) for key, value in run.engine.items() if isinstance(value, (str, int, float))}
        self._info.info({"model": run.manifest.name, "model_version": str(run.manifest.version), **engine})
        if run.cameras:
            self._camera_input = run.camera_input
            self._of_cameras = (
                Counter("mm_edge_camera_predictions", "Predictions of a camera", ["camera"], registry=self.registry),
                Gauge("mm_edge_camera_age_seconds", "Age of its image when used", ["camera"], registry=self.registry),
            )
        if run.counts:
            self.registry.register(_Losses(run.counts))

    def take(self, item: Prediction | Event | Summary) -> None:
        if isinstance(item, Prediction):
            self._take_prediction(item)
        elif isinstance(item, Event) and item.state in SOURCE_STATES:
            for state in SOURCE_STATES:
                self._state.labels(item.source, state).set(state == item.state)

    def _take_prediction(self, prediction: Prediction) -> None:
        self._predictions.inc()
        self._missed.inc(prediction.deadline_missed)
        self._degraded.set(prediction.health == "degraded")
        for stage, ms in prediction.latency_ms.items():
            histogram = self._stages.get(stage)
            if histogram is None:
                histogram = self._stages[stage] = self._latency.labels(stage)
            histogram.observe(ms / 1000)
        if self._of_cameras and prediction.camera is not None:
            made, oldness = self._of_cameras
            made.labels(prediction.camera).inc()
            oldness.labels(prediction.camera).set((prediction.inputs[self._camera_input].age_ms or 0.0) / 1000)
        for name, age in prediction.inputs.items():
            if age.age_ms is None:
                self._missing.labels(name).inc()
                continue
            gauge = self._ages.get(name)
            if gauge is None:
                gauge = self._ages[name] = self._age.labels(name)
            gauge.set(age.age_ms / 1000)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def close(self) -> None:
        """The last values stay readable."""


class _Losses:
    """Read from the loop's own counters on demand, so that they never differ from the summary."""

    def __init__(self, counts: Callable[[], Counts]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[CounterMetricFamily]:
        counts = self._counts()
        captured = CounterMetricFamily("mm_edge_captured", "Captures of an input", labels=["input"])
        dropped = CounterMetricFamily("mm_edge_dropped", "Captures dropped before use", labels=["input", "cause"])
        for name, number in counts.captured.items():
            captured.add_metric([name], number)
        for name, causes in counts.dropped.items():
            for cause, number in causes.items():
                dropped.add_metric([name, cause], number)
        return (captured, dropped, *(_losses_of_cameras(counts.cameras) if counts.cameras else ()))


def _losses_of_cameras(cameras: Mapping[str, Counts]) -> Iterable[CounterMetricFamily]:
    """Of the images alone: what the cameras share is counted by input."""
    captured = CounterMetricFamily("mm_edge_camera_captured", "Images of a camera", labels=["camera"])
    dropped = CounterMetricFamily("mm_edge_camera_dropped", "Images dropped before use", labels=["camera", "cause"])
    for name, counts in cameras.items():
        driver = next(iter(counts.captured))
        captured.add_metric([name], counts.captured[driver])
        for cause, number in counts.dropped[driver].items():
            dropped.add_metric([name, cause], number)
    return (captured, dropped)
