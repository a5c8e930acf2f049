"""What a run gives with nothing configured, against hand-written loops on ONNX Runtime and on OpenVINO, in turns.

python -m mm_edge.benchmarks.studies.live.defaults [--rounds N] [--seconds N] [--json FILE]

Three settings: a 720p file, a camera at 30 frames/s that the model keeps up with, and the same camera with a model of
thirty times the work. Where OpenVINO is installed, its loops take part, and `mm-edge run` may choose it; the first run,
which looks for it, is not counted.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.benchmarks.bench.frames import ReadyCamera, frames, video
from mm_edge.benchmarks.bench.machine import Watch
from mm_edge.benchmarks.models.exported import CACHE
from mm_edge.benchmarks.models.vision import HEAVY_SIDE, SIDE, heavy_vision_bundle, vision_bundle
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig, SourcesConfig
from mm_edge.cores import processor_name, usable_cores
from mm_edge.runtime.process import cpu_seconds
from mm_edge.runtime.session.run import Run

from .file_loops import Answers, played
from .loops.plain import PlainModel, newest_wins, one_after_the_other, reader_and_two_workers
from .timed_run import Ages, p, run_live, warm_rate

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = 600
FPS = 30.0
LEARN_S = 6.0  # the uncounted run in which a faster engine is found
OPENVINO = find_spec("openvino") is not None


def file_rates(rounds: int) -> dict[str, dict[str, float]]:
    """Frames per second and CPU ms per frame of each loop over the same file."""
    path = video(CACHE / f"shapes-{FRAMES}.mp4", FRAMES)
    with Bundle.open(vision_bundle()) as bundle:
        graph, size = _graph(bundle), (SIDE, SIDE)
        loops: dict[str, Callable[[], Callable[[], list[int]]]] = {
            "mm-edge": lambda: partial(_ours_over_file, bundle, path),
            "plain": lambda: partial(one_after_the_other, path, PlainModel(graph, size)),
            "reader and two workers": lambda: partial(
                reader_and_two_workers, path, [PlainModel(graph, size) for _ in range(2)]
            ),
        }
        if OPENVINO:
            from .loops.openvino import OpenVinoModel, queue_over_file

            loops["OpenVINO queue"] = lambda: partial(queue_over_file, path, OpenVinoModel(graph, size, "THROUGHPUT"))
        rates: dict[str, list[float]] = {name: [] for name in loops}
        cpu: dict[str, list[float]] = {name: [] for name in loops}
        for turn in range(1 + rounds):
            for name, load in loops.items():
                run = load()
                before_s, began_s = cpu_seconds(), time.perf_counter()
                run()
                if turn:  # the first turn fills caches
                    rates[name].append(FRAMES / (time.perf_counter() - began_s))
                    cpu[name].append((cpu_seconds() - before_s) / FRAMES * 1000)
    return {name: {"per_s": statistics.median(rates[name]), "cpu_ms": statistics.median(cpu[name])} for name in loops}


def live_ages(path: Path, side: int, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Ages, results per second and CPU ms per result of each loop at a camera of 30 frames/s."""
    pictures = frames(60)
    with Bundle.open(path) as bundle:
        graph, size = _graph(bundle), (side, side)
        run_live(bundle, [_camera(pictures)], LEARN_S)
        loops: dict[str, Callable[[], tuple[list[float], list[float], float]]] = {
            "mm-edge": lambda: _ours_live(bundle, pictures, seconds),
            "newest wins": lambda: _timed(newest_wins, _camera(pictures), PlainModel(graph, size), seconds),
        }
        if OPENVINO:
            from .loops.openvino import OpenVinoModel, queue_over_camera

            loops["OpenVINO, one request"] = lambda: _timed(
                newest_wins, _camera(pictures), OpenVinoModel(graph, size, "LATENCY"), seconds
            )
            loops["OpenVINO queue"] = lambda: _timed(
                queue_over_camera, _camera(pictures), OpenVinoModel(graph, size, "THROUGHPUT"), seconds
            )
        seen: dict[str, list[tuple[list[float], list[float], float]]] = {name: [] for name in loops}
        for _ in range(rounds):
            for name, run in loops.items():
                seen[name].append(run())
    return {
        name: {
            "age_p50_ms": p([age for ages, *_ in turns for age in ages[5:]], 50),
            "age_p99_ms": p([age for ages, *_ in turns for age in ages[5:]], 99),
            "per_s": statistics.median(warm_rate(taken) for _, taken, _ in turns),
            "cpu_ms": statistics.median(used / len(ages) * 1000 for ages, _, used in turns),
        }
        for name, turns in seen.items()
    }


def _ours_over_file(bundle: Bundle, path: Path) -> list[int]:
    answers = Answers()
    with Run(
        bundle, RunConfig(sources=SourcesConfig(speed="max")), [played(bundle, path)], [answers], in_step=True
    ) as run:
        run.wait()
    run.raise_error()
    return answers.labels


def _ours_live(bundle: Bundle, pictures: list[Any], seconds: float) -> tuple[list[float], list[float], float]:
    ages, _, used = run_live(bundle, [_camera(pictures)], seconds)
    return ages.total_ms, ages.taken_s, used


def _timed(loop: Callable[..., tuple[list[float], list[float]]], *given: Any) -> tuple[list[float], list[float], float]:
    before_s = cpu_seconds()
    ages, taken = loop(*given)
    return ages, taken, cpu_seconds() - before_s


def _camera(pictures: list[Any]) -> ReadyCamera:
    return ReadyCamera("image", pictures, FPS)


def _graph(bundle: Bundle) -> bytes:
    return bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file)


def _chosen(path: Path) -> str:
    """What a run with nothing configured runs on."""
    with Bundle.open(path) as bundle:
        ages = Ages()
        with Run(bundle, RunConfig(), [_camera(frames(2))], [ages]) as run:
            run.wait(0.3)
        return str(run.describe().get("tuned", {}).get("choice", "--engine onnxruntime"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    watch = Watch()
    found: dict[str, Any] = {
        "keeps up": live_ages(vision_bundle(), SIDE, given.rounds, given.seconds),
        "file": file_rates(given.rounds),
        "30 x heavier": live_ages(heavy_vision_bundle(), HEAVY_SIDE, given.rounds, 2 * given.seconds),
        "chosen": {"vision": _chosen(vision_bundle()), "30 x heavier": _chosen(heavy_vision_bundle())},
    }
    conditions = watch.conditions()
    found["machine"] = {"cpu": processor_name(), "cores": usable_cores(), "python": platform.python_version()}
    found["others_share"], found["stolen_share"] = conditions.others, conditions.stolen
    found["openvino"] = OPENVINO
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
