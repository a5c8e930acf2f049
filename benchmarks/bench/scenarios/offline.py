"""Throughput with all inputs available: MLPerf's Offline, from memory and from the files of a take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import cv2
import msgspec

from mm_edge.benchmarks.bench.floors.bare import BareParts, side_by_side
from mm_edge.runtime.session.predict import Predictor
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.session.wiring import wire_sources, with_inputs
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.runtime.sources.take import stream_of
from mm_edge.spec import ImageInput, VideoInput

from .series import rate

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting


class Offline:
    """From memory: one predictor per core, every input new. From files: the loop of `run --take` at full speed."""

    name, share = "offline", 0.15

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._memory: list[float] = []
        self._bare: list[float] = []
        self._take: list[float] = []
        self._decode: list[float] = []

    def round(self, seconds: float) -> None:
        setting = self._setting
        slice_s = seconds / (4 if setting.take else 2)
        config, cores = setting.with_threads(1), setting.cores
        bare = [BareParts(setting.bundle, setting.engine(), setting.precisions) for _ in range(cores)]
        predictors = [Predictor.load(setting.bundle, config) for _ in range(cores)]
        feeds = [setting.feeds.cycle() for _ in range(cores)]
        works: list[Any] = [
            lambda predictor=predictor, values=values: predictor.predict(next(values))
            for predictor, values in zip(predictors, feeds, strict=True)
        ]
        side_by_side(works, slice_s / 10)  # warm
        before = side_by_side([*bare], slice_s / 2)
        self._memory.append(side_by_side(works, slice_s))
        self._bare.append((before + side_by_side([*bare], slice_s / 2)) / 2)
        if setting.take:
            self._take.append(self._play(setting.take, slice_s))
            self._decode_alone(setting.take, slice_s / 2)

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        made = [
            rate(
                self.name,
                "from memory",
                self._memory,
                pace_us,
                unit="predictions/s",
                floor=("bare engines on every core", self._bare),
                note="every input changes each time",
            )
        ]
        if self._take:
            made.append(
                rate(
                    self.name,
                    "from a take",
                    self._take,
                    pace_us,
                    unit="predictions/s",
                    floor=("video decoding alone", self._decode) if self._decode else None,
                    note="audio and text at the take's own rates",
                )
            )
        return made

    def _play(self, take: Path, seconds: float) -> float:
        setting = self._setting
        config = with_inputs(setting.config, {}, str(take))
        config = msgspec.structs.replace(
            config, sources=msgspec.structs.replace(config.sources, speed="max", loop=True)
        )
        sources, _ = wire_sources(setting.bundle.manifest, config)
        counted = RateSink()
        session = Run(setting.bundle, config, sources, [counted], in_step=True)
        with session:
            session.wait(seconds)
        session.raise_error()
        return counted.rate()

    def _decode_alone(self, take: Path, seconds: float) -> None:
        specs = (spec for spec in self._setting.bundle.manifest.inputs if isinstance(spec, ImageInput | VideoInput))
        path = next((path for spec in specs if (path := stream_of(take, spec)) is not None), None)
        if path is None or path.is_dir():
            return
        capture, count = cv2.VideoCapture(str(path)), 0
        began_s = time.perf_counter()
        while time.perf_counter() < began_s + seconds and capture.read()[0]:
            count += 1
        self._decode.append(count / (time.perf_counter() - began_s))
        capture.release()


class RateSink(NullSink):
    """Counts predictions: the rate from the first to the last, without startup."""

    def __init__(self) -> None:
        self.count, self.first_s, self.last_s = 0, 0.0, 0.0

    def take(self, item: Any) -> None:
        if hasattr(item, "outputs"):
            self.last_s = time.perf_counter()
            self.first_s = self.first_s or self.last_s
            self.count += 1

    def rate(self) -> float:
        return (self.count - 1) / (self.last_s - self.first_s) if self.count > 1 else 0.0
