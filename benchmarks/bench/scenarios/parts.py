"""Each part alone in each precision that loads on this machine, relative to the same graph on plain ONNX Runtime, and
each input's preparation; timed in turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.benchmarks.bench.floors.bare import bare_run
from mm_edge.benchmarks.bench.floors.plain_session import WHAT, plain_run
from mm_edge.benchmarks.bench.measure import calls_a_reading, in_turns, warm
from mm_edge.errors import EngineError
from mm_edge.runtime.engines.tensors import numpy_dtype
from mm_edge.runtime.prepare import preparer
from mm_edge.runtime.sound import sound_block
from mm_edge.spec import AudioInput, ImageInput

from .series import BEST, Series, rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.benchmarks.bench.figure import Figure
    from mm_edge.spec import InputSpec

    from .setting import Setting

WARM_S = 0.06
LOADED_FOR_S = 0.6
ENGINE_OF_FLOOR = "onnxruntime"  # plain ONNX Runtime is not a floor for other engines
PLAIN = " on plain ONNX Runtime"
YARDSTICK = "yardstick"


class Parts:
    """The undisturbed cost of each stage: the minimum. The engine loads again each round.

    Other load on the machine only adds to a timing, so the minimum is the most reproducible percentile; the cost of a
    code change shows in the ratio to the floor, which is timed in the same turns.
    """

    name, share = "parts", 0.2

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._series: dict[str, Series] = {}
        self._refused: dict[str, str] = {}
        self._copy_gb_per_s: list[float] = []
        self._prepared = {f"prepare.{spec.name}": self._prepare(spec) for spec in setting.bundle.manifest.inputs}

    def round(self, seconds: float) -> None:
        """Several short ones: the more often everything is loaded, the less a run depends on one memory layout."""
        for _ in range(max(1, round(seconds / LOADED_FOR_S))):
            runs: dict[str, Callable[[], object]] = {
                YARDSTICK: self._setting.yardstick,
                **self._load(),
                **self._prepared,
            }
            for run in runs.values():
                warm(run, WARM_S)
            calls = {name: calls_a_reading(run) for name, run in runs.items()}
            self._setting.calls_a_reading = max(calls.values())
            taken = in_turns(runs, min(seconds, LOADED_FOR_S), calls=calls)
            yardstick = taken.pop(YARDSTICK)
            for name, turns in taken.items():
                self._series.setdefault(name, Series()).add_turns(turns, yardstick, taken.get(name + PLAIN))
        self._copy_gb_per_s.append(self._setting.yardstick.copy_gb_per_s())

    def figures(self, pace_us: tuple[float, ...]) -> list[Figure]:
        setting = self._setting
        made = []
        for name, series in self._series.items():
            if not name.endswith(PLAIN):
                made.append(series.figure(self.name, name, BEST, floor=self._floor(name)))
                setting.shortest_ms = min(setting.shortest_ms, made[-1].value)
        for name, why in self._refused.items():
            setting.notes.append(f"{name} does not load on this machine: {why}")
        made.append(
            rate(self.name, "memory.copy", self._copy_gb_per_s, pace_us, unit="GB/s", note="floor of the preparation")
        )
        return made

    def _load(self) -> dict[str, Callable[[], object]]:
        """Every part in every precision, each followed by its floor; what an engine refuses is noted and skipped."""
        setting, runs = self._setting, dict[str, "Callable[[], object]"]()
        engine = setting.engine()
        for part in setting.bundle.manifest.parts:
            for precision in part.artefacts:
                name = f"{part.name}.{precision}"
                if name in self._refused or (precision == "int8-trt" and engine.family == "cpu"):
                    continue
                try:
                    runs[name] = bare_run(setting.bundle, engine, part, precision)
                except EngineError as error:
                    self._refused[name] = error.found.splitlines()[0]
                    continue
                if engine.name == ENGINE_OF_FLOOR:
                    runs[name + PLAIN] = plain_run(setting.bundle, part, precision)
        return runs

    def _prepare(self, spec: InputSpec) -> Callable[[], object]:
        setting = self._setting
        prepare, values = preparer(spec, setting.bundle.read), setting.feeds.values[spec.name]
        payloads = values
        if isinstance(spec, AudioInput):
            payloads = [sound_block(each, spec.prepare.window) for each in values]
        fixed = setting.bundle.manifest.fixed
        arrays: dict[str, Any] = {
            field: np.zeros(fixed(tensor.shape), numpy_dtype(tensor.dtype)) for field, tensor in prepare.fields.items()
        }
        tick = 0

        def run() -> None:
            nonlocal tick
            prepare.write(payloads[tick % len(payloads)], arrays)
            tick += 1

        return run

    def _floor(self, name: str) -> tuple[str, float] | None:
        """Of a part: its graph on plain ONNX Runtime. Of image preparation: reading and writing each pixel involved
        once at this machine's copy rate.
        """
        if (plain := self._series.get(name + PLAIN)) is not None:
            return WHAT, plain.best()
        kind, _, wanted = name.partition(".")
        spec = next((spec for spec in self._setting.bundle.manifest.inputs if spec.name == wanted), None)
        if kind != "prepare" or not isinstance(spec, ImageInput):
            return None
        picture = self._setting.feeds.values[wanted][0]
        height, width = spec.prepare.size
        # Bilinear: two pixels of the source by two for each of the result, three bytes each.
        touched = min(picture.nbytes, height * width * 4 * 3) + height * width * 3
        best = float(np.median(self._copy_gb_per_s))
        return "its pixels at the copy rate", touched / best / 1e6
