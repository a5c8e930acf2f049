"""Overhead and savings of the live loop as ratios, each measured within one run.

python -m mm_edge.benchmarks.studies.live.live_loop [NAME …] [--json FILE] [--long]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mm_edge.benchmarks.bench.frames import ReadyCamera, ReadyFile, frames
from mm_edge.benchmarks.bench.machine import Watch
from mm_edge.benchmarks.models.multimodal import multimodal_bundle
from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import MicConfig, RunConfig
from mm_edge.cores import processor_name, usable_cores
from mm_edge.onnx_runtime import import_onnxruntime
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.tensors import fixed_shapes
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.spec import AudioPrepare

from .file_loops import offline
from .first_prediction import first_prediction
from .live_peers import live_peers
from .loops.plain import PlainModel, best
from .own_cost import own_cost
from .timed_run import SIZE, SLOWER, model_ms, p, run_live, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable


def overhead(seconds: float = 20.0) -> dict[str, float]:
    """End-to-end latency relative to the bare stages, both at 30 frames/s, in turns."""
    pictures = frames(60)
    with Bundle.open(vision_bundle()) as bundle:
        graph = bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file)
        bare_ms: list[float] = []
        total_ms: list[float] = []
        for _ in range(4):
            bare_ms += bare_stages(graph, pictures, seconds / 4)[5:]
            ages, _, _ = run_live(bundle, [ReadyCamera("image", pictures, 30.0)], seconds / 4)
            total_ms += ages.total_ms[5:]
    return {
        "bare_p50_ms": p(bare_ms, 50),
        "bare_p99_ms": p(bare_ms, 99),
        "loop_p50_ms": p(total_ms, 50),
        "loop_p99_ms": p(total_ms, 99),
        "p50_ratio": p(total_ms, 50) / p(bare_ms, 50),
        "p99_ratio_to_bare_p50": p(total_ms, 99) / p(bare_ms, 50),
        "bare_p99_ratio_to_p50": p(bare_ms, 99) / p(bare_ms, 50),
        "p99_ratio": p(total_ms, 99) / p(bare_ms, 99),
        "predictions": len(total_ms),
    }


def bare_stages(graph: bytes, pictures: list[Any], seconds: float, fps: float = 30.0) -> list[float]:
    """Resize, colour conversion, bound session, label and score at the camera's rate: the floor."""
    model = PlainModel(graph, SIZE)
    binding = model.session.io_binding()
    small, rgb = np.empty((224, 224, 3), np.uint8), np.empty((1, 224, 224, 3), np.uint8)
    logits = np.empty((1, 1000), np.float32)
    ort = import_onnxruntime()

    binding.bind_ortvalue_input(model.session.get_inputs()[0].name, ort.OrtValue.ortvalue_from_numpy(rgb))
    binding.bind_ortvalue_output(model.session.get_outputs()[0].name, ort.OrtValue.ortvalue_from_numpy(logits))
    taken = []
    start, count = time.perf_counter(), int(seconds * fps)
    for k in range(count):
        time.sleep(max(0.0, start + k / fps - time.perf_counter()))
        began = time.perf_counter()
        cv2.resize(pictures[k % len(pictures)], (224, 224), dst=small)
        cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=rgb[0])
        model.session.run_with_iobinding(binding)
        best(logits[0])
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def saturated(rounds: int = 16, seconds: float = 1.75) -> dict[str, float]:
    """Throughput of the loop relative to the same stages on as many cores, measured right before and after, since the
    speed of a machine changes within seconds. With frames always available, and with a camera at twice the throughput,
    whose wake-ups use CPU and which sometimes leaves a worker without a frame.
    """
    pictures = frames(60)
    cores = usable_cores()
    sources: dict[str, Callable[[float], ReadyCamera]] = {
        "": lambda _: ReadyFile("image", pictures),
        "camera_": lambda floor: ReadyCamera("image", pictures, 2 * floor),
    }
    with Bundle.open(vision_bundle()) as bundle:
        graph = bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file)
        floor = [side_by_side(graph, pictures, seconds, cores)]
        rates: dict[str, list[float]] = {name: [] for name in sources}
        ratios: dict[str, list[float]] = {name: [] for name in sources}
        for _ in range(rounds):
            for name, source in sources.items():
                ages, _, _ = run_live(bundle, [source(floor[-1])], seconds, depth=max(2, cores))
                floor.append(side_by_side(graph, pictures, seconds, cores))
                rates[name].append(ages.rate())
                ratios[name].append(2 * ages.rate() / (floor[-2] + floor[-1]))
    return {
        "floor_per_s": statistics.median(floor),
        **{f"{name}loop_per_s": statistics.median(values) for name, values in rates.items()},
        **{f"{name}ratio": statistics.median(values) for name, values in ratios.items()},
    }


def too_slow(seconds: float = 60.0) -> dict[str, float]:
    """A camera three times as fast as the model: the age of results, its growth, and whether all frames are counted."""
    pictures = frames(60)
    with Bundle.open(vision_bundle()) as bundle:
        graph = bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file)
        own_ms = model_ms(graph, pictures)
        fps = SLOWER * 1000 / own_ms
        ages, summary, _ = run_live(bundle, [ReadyCamera("image", pictures, fps)], seconds)
        loop_stage_ms = statistics.median(stage["fuse"] for stage in ages.stages_ms)
    half = len(ages.total_ms) // 2
    bound = 2 * loop_stage_ms + 1000 / fps
    return {
        "model_alone_ms": own_ms,
        "model_in_loop_ms": loop_stage_ms,
        "camera_fps": fps,
        "age_p50_ms": p(ages.total_ms, 50),
        "age_p99_ms": p(ages.total_ms, 99),
        "bound_ms": bound,
        "p99_over_bound": p(ages.total_ms, 99) / bound,
        "slope_ms_per_s": float(
            np.polyfit(np.arange(len(ages.total_ms)) * seconds / len(ages.total_ms), ages.total_ms, 1)[0]
        ),
        "second_half_over_first": statistics.median(ages.total_ms[half:]) / statistics.median(ages.total_ms[:half]),
        "captured": summary.captured["image"],
        "predicted": summary.predictions,
        "dropped": sum(summary.dropped["image"].values()),
        "unaccounted": summary.captured["image"] - summary.predictions - sum(summary.dropped["image"].values()),
    }


def incremental(seconds: float = 20.0) -> dict[str, float]:
    """CPU per tick with reuse, relative to all parts every tick: camera at 30 Hz, audio at 10 Hz, constant text."""
    from mm_edge.runtime.sources.mic.synthetic import SyntheticMic
    from mm_edge.runtime.sources.text.literal import LiteralText

    pictures = frames(60)
    cpu: dict[bool, list[float]] = {False: [], True: []}
    with Bundle.open(multimodal_bundle()) as bundle:
        audio = AudioPrepare(sample_rate=16_000, window=16_000, hop=1_600)
        costs = parts_ms(bundle)
        for every in (False, True, True, False):
            sources = [
                ReadyCamera("image", pictures, 30.0),
                SyntheticMic("audio", audio, MicConfig()),
                LiteralText("text", "the red ball"),
            ]
            ages, _, used = run_live(bundle, sources, seconds / 4, every_part_every_tick=every)
            cpu[every].append(used / len(ages.total_ms) * 1000)
    reuse, everything = (statistics.mean(cpu[every]) for every in (False, True))
    return {
        "cpu_ms_a_tick_with_reuse": reuse,
        "cpu_ms_a_tick_without": everything,
        "ratio": reuse / everything,
        **{f"alone_ms.{name}": ms for name, ms in costs.items()},
    }


def parts_ms(bundle: Bundle) -> dict[str, float]:
    engine, taken = OnnxRuntimeEngine(), {}
    for part in bundle.manifest.parts:
        shapes = fixed_shapes(bundle.manifest, part)
        slot = engine.load(part, "fp32", bundle.read(part.artefacts["fp32"].file), shapes, 1).slot()
        inputs = [engine.buffer(shapes[tensor.name], np.dtype(tensor.dtype)) for tensor in part.takes]
        runs = []
        for _ in range(30):
            began = time.perf_counter()
            slot.run(inputs)
            runs.append((time.perf_counter() - began) * 1000)
        taken[part.name] = statistics.median(runs[5:])
    return taken


def soak(minutes: float = 10.0) -> dict[str, float]:
    """Resident memory over the predictions of `minutes` at 30 frames/s, with all three inputs. A slow machine takes
    longer for the same number.
    """
    from mm_edge.runtime.process import resident_mb
    from mm_edge.runtime.sources.mic.synthetic import SyntheticMic
    from mm_edge.runtime.sources.text.literal import LiteralText

    with Bundle.open(multimodal_bundle()) as bundle:
        audio = AudioPrepare(sample_rate=16_000, window=16_000, hop=1_600)
        sources: list[Any] = [
            ReadyCamera("image", frames(60), 30.0),
            SyntheticMic("audio", audio, MicConfig()),
            LiteralText("text", "the red ball"),
        ]
        session = Run(bundle, RunConfig(), sources, [NullSink()])
        memory = []
        with session:
            session.wait(20.0)
            began, before = time.monotonic(), session.predictions
            while session.predictions - before < minutes * 60 * 30:
                memory.append(resident_mb())
                session.wait(5.0)
            memory.append(resident_mb())
            seconds = time.monotonic() - began
    return {
        "seconds": seconds,
        "predictions": session.predictions - before,
        "first_mb": memory[0],
        "last_mb": memory[-1],
        "most_mb": max(memory),
        "grown_mb": memory[-1] - memory[0],
    }


SHORT: dict[str, Callable[[], dict[str, Any]]] = {
    "overhead": overhead,
    "saturated": saturated,
    "own_cost": own_cost,
    "incremental": incremental,
    "offline": offline,
    "live_peers": live_peers,
    "start": first_prediction,
}
LONG: dict[str, Callable[[], dict[str, Any]]] = {"too_slow": too_slow, "soak": soak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*SHORT, *LONG, []], help="studies to run [default: the short ones]"
    )
    parser.add_argument("--json", type=Path, help="append the figures to this file")
    parser.add_argument("--long", action="store_true", help="also run those that take minutes")
    given = parser.parse_args()
    chosen = given.names or [*SHORT, *(LONG if given.long else [])]
    results = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    results["machine"] = {"cpu": processor_name(), "cores": usable_cores(), "python": platform.python_version()}
    for name in chosen:
        watch = Watch()
        figures = {**SHORT, **LONG}[name]()
        conditions = watch.conditions()
        figures |= {"others_share": conditions.others, "stolen_share": conditions.stolen}
        found = {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
        results.setdefault(name, []).append(found)
        print(name, json.dumps(found, indent=2))
        if given.json:
            given.json.parent.mkdir(parents=True, exist_ok=True)
            given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
