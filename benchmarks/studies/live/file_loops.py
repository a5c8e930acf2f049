"""A video file at full speed: the loop compared with plain loops, and the effect of different video decoders."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.benchmarks.bench.frames import video
from mm_edge.benchmarks.models.exported import CACHE
from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.prepare import preparer
from mm_edge.runtime.process import cpu_seconds
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.runtime.sources.play import PlayClock
from mm_edge.runtime.sources.registry import open_source
from mm_edge.sample import Prediction

from .loops.plain import PlainModel, one_after_the_other, read_video, reader_and_two_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mm_edge.runtime.source import Source

SIZE = (224, 224)


class Answers(NullSink):
    """Keeps the label and the picture's time stamp of each prediction."""

    def __init__(self) -> None:
        self.labels: list[int] = []
        self.stamps: list[int] = []

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self.labels.append(int(item.outputs["label"]["label"].split()[1]))
            self.stamps.append(item.t_ns)


def offline(count: int = 600, turns: int = 3) -> dict[str, Any]:
    """A 720p file through the model, in order: frames per second and CPU per frame of each loop, in turns."""
    path = video(CACHE / f"shapes-{count}.mp4", count)
    rates: dict[str, list[float]] = {"mm_edge": [], "one_after_the_other": [], "reader_and_two_workers": []}
    cpu: dict[str, list[float]] = {name: [] for name in rates}
    labels: dict[str, list[int]] = {}
    with Bundle.open(vision_bundle()) as bundle:
        graph = bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file)
        models = [PlainModel(graph, SIZE) for _ in range(2)]
        stamps: list[int] = []

        def ours() -> Callable[[], list[int]]:
            answers = Answers()
            session = Run(bundle, RunConfig(), [played(bundle, path)], [answers], in_step=True)

            def run() -> list[int]:
                with session:
                    session.wait()
                session.raise_error()
                stamps[:] = answers.stamps
                return answers.labels

            return run

        # Every loop loads its sessions before it is timed.
        loops: dict[str, Callable[[], Callable[[], list[int]]]] = {
            "mm_edge": ours,
            "one_after_the_other": lambda: partial(one_after_the_other, path, models[0]),
            "reader_and_two_workers": lambda: partial(reader_and_two_workers, path, models),
        }
        for turn in range(1 + turns):
            for name, loop in loops.items():
                ready = loop()
                cpu_before, began = cpu_seconds(), time.perf_counter()
                labels[name] = ready()
                if turn:  # the first turn fills caches
                    rates[name].append(count / (time.perf_counter() - began))
                    cpu[name].append((cpu_seconds() - cpu_before) / count * 1000)
            if turn and (measured := gstreamer(graph, path)) is not None:
                rates.setdefault("gstreamer_appsink", []).append(measured["frames_per_s"])
                cpu.setdefault("gstreamer_appsink", []).append(measured["cpu_ms"])
        began = time.perf_counter()
        decode = sum(1 for _ in read_video(path)) / (time.perf_counter() - began)
        answers = compared(bundle, path, models[0], labels["mm_edge"], stamps)
    best = max(statistics.median(rates[name]) for name in rates if name != "mm_edge")
    leanest = min(statistics.median(cpu[name]) for name in cpu if name != "mm_edge")
    return {
        **{f"{name}_frames_per_s": statistics.median(values) for name, values in rates.items()},
        **{f"{name}_cpu_ms_a_frame": statistics.median(values) for name, values in cpu.items()},
        "decode_alone_frames_per_s": decode,
        "ratio_to_the_best_loop": statistics.median(rates["mm_edge"]) / best,
        "cpu_ratio_to_the_leanest": statistics.median(cpu["mm_edge"]) / leanest,
        **answers,
    }


def played(bundle: Bundle, path: Path) -> Source:
    source = open_source(str(path), bundle.manifest.input("image"), RunConfig().sources, PlayClock("max"))
    if source is None:
        raise WorkFailedError("not a readable source", action=f"playing {path}")
    return source


def compared(bundle: Bundle, path: Path, model: PlainModel, labels: list[int], stamps: list[int]) -> dict[str, Any]:
    """Our answers compared with a sequential run on the same pictures, which must be identical and in the same order;
    and with the plain loop's pictures, which another decoder converts.
    """
    own, plain, apart, spread = [], [], [], []
    for (t_ns, picture), frame in zip(prepared(bundle, path), read_video(path), strict=True):
        ours, theirs = model.run(picture)[0], model.run(model.prepare(frame))[0]
        own.append((t_ns, int(ours.argmax())))
        plain.append(int(theirs.argmax()))
        apart.append(float(np.abs(ours - theirs).max()))
        spread.append(float(np.ptp(theirs)))
    since = [stamp - stamps[0] for stamp in stamps]
    return {
        "same_answers_in_order": list(zip(since, labels, strict=True)) == own,
        "different_answers": len(set(labels)),
        "share_answered_as_the_plain_loop": statistics.mean(a == b for a, b in zip(labels, plain, strict=True)),
        "logits_apart_p50": statistics.median(apart),
        "logits_apart_most": max(apart),
        "logits_spread_p50": statistics.median(spread),
    }


def prepared(bundle: Bundle, path: Path) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """Each prepared picture, and its time since the first."""
    prepare = preparer(bundle.manifest.input("image"), bundle.read)
    source = played(bundle, path)
    print(source.open().detail)
    first_ns = None
    while (capture := source.read()) is not None:
        first_ns = capture.t_ns if first_ns is None else first_ns
        picture = np.empty((1, *SIZE, 3), np.uint8)
        prepare.write(capture.payload, {"": picture})
        yield capture.t_ns - first_ns, picture
    source.close()


def gstreamer(graph: bytes, path: Path) -> dict[str, float] | None:
    """The appsink loop in the system's Python with GStreamer's bindings; None without them."""
    python, script = "/usr/bin/python3", (Path(__file__).parent / "loops/gstreamer.py").resolve()
    model = path.with_suffix(".onnx")
    model.write_bytes(graph)
    command = [python, str(script), str(model), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(np.__file__).parent.parent)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print("skipped the GStreamer loop, which does not run on this machine:", getattr(error, "stderr", error))
        return None
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured
