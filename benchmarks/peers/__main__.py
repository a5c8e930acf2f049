"""Runs the peers and ours in turns, on the same model and frames: `python -m mm_edge.benchmarks.peers`.

Each peer has an environment of its own, made from its pinned requirements on the first call. --json keeps the results;
docs/benchmarks.md is made from them (python -m mm_edge.benchmarks.document).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.benchmarks.frames import video
from mm_edge.benchmarks.interval import percentile
from mm_edge.benchmarks.machine import Watch, machine
from mm_edge.benchmarks.models import CACHE, LABELS, vision_bundle
from mm_edge.bundle import Bundle
from mm_edge.errors import WorkFailedError
from mm_edge.places import cache_folder

from .float_input import with_float_input
from .results import Peer, Results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
OURS = "mm_edge_loop"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that the distribution's GStreamer bindings belong to
# The file of each peer, what it is called, and the environment that it runs in.
PEERS = {
    OURS: ("mm-edge", ""),
    "plain": ("OpenCV + ONNX Runtime, one after the other", "onnxruntime"),
    "threaded": ("capture thread, queue, ONNX Runtime", "onnxruntime"),
    "openvino_queue": ("OpenVINO AsyncInferQueue", "openvino"),
    "gstreamer_appsink": ("GStreamer appsink + ONNX Runtime", "gstreamer"),
    "ultralytics_stream": ("Ultralytics predict(stream=True)", "ultralytics"),
    "roboflow_pipeline": ("Roboflow InferencePipeline", "roboflow"),
    "mediapipe_tasks": ("MediaPipe tasks", "mediapipe"),
}
OF_THE_SYSTEM = {"gstreamer"}  # environments that see the system's packages
FLOAT_INPUT = {"ultralytics_stream"}  # peers that prepare pictures themselves (float_input.py)
KEEPS_UP_FPS = 30.0
TOO_SLOW = 3.0
FRAMES = 300
FIRST_ONES = 5
MOST_TOLD = 160


class CannotRunError(Exception):
    """What a peer, or making its environment, said when it was given this model."""


class Driven:
    """One peer in a process of its own, ready."""

    def __init__(self, name: str, model: Path, film: Path) -> None:
        command = [_python(PEERS[name][1]), "-m", f"{HERE.name}.drive", name, str(model), str(film)]
        began_s = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        )
        self.name = name
        told = self._told()
        if "cannot" in told:
            self.close()
            raise CannotRunError(told["cannot"])
        self.first: int = told["first"]
        self.start_s = time.perf_counter() - began_s

    def ask(self, *words: str) -> dict[str, Any]:
        if self._process.stdin is not None:
            self._process.stdin.write(" ".join(words) + "\n")
            self._process.stdin.flush()
        return self._told()

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _told(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise WorkFailedError("it ended without an answer", asked=f"running the peer {self.name}")
        told: dict[str, Any] = json.loads(line)
        return told


def measure(names: Sequence[str], rounds: int, seconds: float) -> Results:
    """`seconds` of each live run, a round."""
    watch, film = Watch(), video(CACHE / f"shapes-{FRAMES}.mp4", FRAMES)
    bundle_path = vision_bundle()
    model = CACHE / "peers-vision.onnx"
    with Bundle.open(bundle_path) as bundle:
        model.write_bytes(bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file))
        floats = with_float_input(model, CACHE / "peers-vision-float.onnx", LABELS)
    models = {name: floats if name in FLOAT_INPUT else model for name in names} | {OURS: bundle_path}
    names, absent = _able(names, models, film)
    starts: dict[str, list[float]] = {name: [] for name in names}
    told: dict[str, dict[str, list[dict[str, Any]]]] = {
        name: {"offline": [], "keeps up": [], "too slow": []} for name in names
    }
    too_slow_fps = 0.0
    for number in range(rounds):
        # New processes each round: where memory comes to lie is part of what a run is worth.
        for name in list(names) if number % 2 == 0 else list(names)[::-1]:
            peer = Driven(name, models[name], film)
            starts[name].append(peer.start_s)
            answer = peer.ask("offline")
            told[name]["offline"].append(answer)
            if not too_slow_fps:
                # The same for all: three times what one after the other of this round could take.
                too_slow_fps = TOO_SLOW * answer["results"] / answer["seconds"]
            told[name]["keeps up"].append(peer.ask("live", str(KEEPS_UP_FPS), str(seconds)))
            told[name]["too slow"].append(peer.ask("live", str(too_slow_fps), str(seconds)))
            peer.close()
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
    right = told[names[0]]["offline"][0]["labels"]
    peers = tuple(
        _summed(name, starts[name], runs, same=all(run["labels"] == right for run in runs["offline"]))
        for name, runs in told.items()
    )
    return Results(FRAMES, rounds, seconds, KEEPS_UP_FPS, round(too_slow_fps, 1), machine(watch.heat()), peers, absent)


def _able(names: Sequence[str], models: Mapping[str, Path], film: Path) -> tuple[list[str], dict[str, str]]:
    """Those that take the model, each started once (its files are cached afterwards); the others with their reason."""
    able, absent = [], {}
    for name in names:
        try:
            Driven(name, models[name], film).close()
            able.append(name)
        except CannotRunError as error:
            absent[PEERS[name][0]] = f"{error}"[:MOST_TOLD]
    return able, absent


def _summed(name: str, starts: list[float], runs: dict[str, list[dict[str, Any]]], *, same: bool) -> Peer:
    ages = {way: [age for run in runs[way] for age in run["ages_ms"][FIRST_ONES:]] for way in ("keeps up", "too slow")}
    every = [run for way in runs.values() for run in way]
    return Peer(
        name=PEERS[name][0],
        ours=name == OURS,
        figures={
            "offline, frames a second": statistics.median(r["results"] / r["seconds"] for r in runs["offline"]),
            "offline, CPU ms a result": statistics.median(1000 * r["cpu_s"] / r["results"] for r in runs["offline"]),
            "keeps up, age p50 ms": percentile(ages["keeps up"], 50),
            "keeps up, age p99 ms": percentile(ages["keeps up"], 99),
            "keeps up, CPU ms a result": statistics.median(1000 * r["cpu_s"] / r["results"] for r in runs["keeps up"]),
            "too slow, age p50 ms": percentile(ages["too slow"], 50),
            "too slow, age p99 ms": percentile(ages["too slow"], 99),
            "too slow, results a second": statistics.median(r["results"] / r["seconds"] for r in runs["too slow"]),
            "memory MB": max(run["rss_mb"] for run in every),
            "start to first result s": statistics.median(starts),
        },
        same_labels=same,
    )


def _python(environment: str) -> str:
    """The interpreter of a peer's environment, made from its pinned requirements if it is not there."""
    if not environment:
        return sys.executable
    requirements = HERE / f"{environment}.txt"
    folder = cache_folder("peers") / environment
    python = folder / "bin" / "python"
    made = folder / "made-from.txt"
    if not made.exists() or made.read_text(encoding="utf-8") != requirements.read_text(encoding="utf-8"):
        maker = [SYSTEM_PYTHON, "-m", "venv", "--system-site-packages"] if environment in OF_THE_SYSTEM else []
        for command in (
            [*(maker or [sys.executable, "-m", "venv"]), "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "-q", "-r", str(requirements)],
        ):
            ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            if ran.returncode:
                raise CannotRunError(f"its environment cannot be made: {(ran.stderr.strip().splitlines() or [''])[-1]}")
        made.write_text(requirements.read_text(encoding="utf-8"), encoding="utf-8")
    return str(python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*PEERS, []], help="which ones; ours always runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each live run, a round")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    results = measure(list(dict.fromkeys([OURS, *(given.names or PEERS)])), given.rounds, given.seconds)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    print(msgspec.json.format(msgspec.json.encode(results.peers), indent=1).decode())


if __name__ == "__main__":
    main()
