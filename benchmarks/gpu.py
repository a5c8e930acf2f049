"""What the GPU of this machine does with a bundle: every engine that loads, checked, timed, and run until it is warm.

python -m mm_edge.benchmarks.gpu [BUNDLE] [--json FILE] [--trace FILE] [--soak MINUTES] [--sanitize]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

import mm_edge
from mm_edge.bundle import Bundle
from mm_edge.config import EngineConfig, LoopConfig, RunConfig
from mm_edge.errors import MmEdgeError
from mm_edge.runtime.engines.available import ON_A_GPU, missing
from mm_edge.runtime.engines.choose import open_engine
from mm_edge.runtime.engines.settle import settle
from mm_edge.runtime.prepare import preparer
from mm_edge.runtime.process import resident_mb
from mm_edge.runtime.session import Session
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.runtime.sources.text.literal import LiteralText
from mm_edge.runtime.trace import Trace
from mm_edge.sample import Prediction
from mm_edge.spec import ImageInput, TextInput

from .figure import Machine  # noqa: TC001  # the report's reader needs it at run time
from .frames import ReadyCamera, frames
from .machine import Watch, machine

if TYPE_CHECKING:
    from mm_edge.runtime.engine import Engine

FPS = 30.0
TEXT = "the red cube"
SHIPPED = Path(mm_edge.__file__).parent / "data" / "scout.mmb"
SANITIZED_S = 3.0
TOOLS = ("memcheck", "racecheck")
# What a GPU must show; tests/e2e/test_gpu.py holds the figures against them.
MOST_P50_RATIO, LEAST_RATE_RATIO, MOST_HOST_MS = 1.15, 0.9, 0.3


class Timed(msgspec.Struct, frozen=True):
    """One way of running an engine. Milliseconds are medians; `device_ms` is by event pairs."""

    graphs: bool
    depth: int
    device_ms: dict[str, float]
    host_ms_a_tick: float  # what putting all parts of a moment on their streams takes
    prepare_ms: float  # of the picture, alone
    p50_ms: float  # at the camera's pace, from capture to the prediction
    p50_ratio: float  # to device and preparation alone
    per_s: float  # saturated
    rate_ratio: float  # to the slowest stage's
    graphs_told: dict[str, str]


class Row(msgspec.Struct, frozen=True):
    """One engine. `state`: proven, failed, or not here."""

    engine: str
    state: str
    why: str = ""
    settled: dict[str, Any] = {}
    golden: tuple[str, ...] = ()
    timed: tuple[Timed, ...] = ()
    soak: dict[str, float] = {}
    sanitized: dict[str, str] = {}


class GpuReport(msgspec.Struct, frozen=True):
    """A run of all of it, and the machine that it was."""

    when: str
    bundle: str
    device: str
    machine: Machine
    rows: tuple[Row, ...]


class Spans:
    """A trace in memory: how long each part computed on the device, and how long a lane took to ask for it."""

    def __init__(self) -> None:
        self.device_ms: defaultdict[str, list[float]] = defaultdict(list)
        self.host_ms: defaultdict[int, float] = defaultdict(float)

    def span(self, lane: str, label: str, start_ns: int, end_ns: int, moment_seq: int | None = None) -> None:
        if lane.startswith("GPU "):
            self.device_ms[label].append((end_ns - start_ns) / 1e6)
        elif moment_seq is not None and label.startswith(("encode", "fuse")):
            self.host_ms[moment_seq] += (end_ns - start_ns) / 1e6

    def instant(self, *_: Any) -> None:
        """Captures and drops are not looked at here."""


class Totals(NullSink):
    """Ages at delivery, and when each came."""

    def __init__(self) -> None:
        self.total_ms: list[float] = []
        self.taken_s: list[float] = []

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self.total_ms.append(item.latency_ms["total"])
            self.taken_s.append(time.perf_counter())

    def rate(self) -> float:
        return (len(self.taken_s) - 1) / (self.taken_s[-1] - self.taken_s[0])


def run(
    bundle: Bundle, engine: Engine, fps: float, seconds: float, *, depth: int, trace: Any = None
) -> tuple[Totals, dict[str, Any]]:
    totals = Totals()
    image = next(spec for spec in bundle.manifest.inputs if isinstance(spec, ImageInput))
    sources: list[Any] = [ReadyCamera(image.name, frames(60), fps)]
    sources += [LiteralText(spec.name, TEXT) for spec in bundle.manifest.inputs if isinstance(spec, TextInput)]
    config = RunConfig(loop=LoopConfig(depth=depth))
    with Session(bundle, config, sources, [totals], engine=engine, trace=trace) as session:
        session.wait(seconds)
        told = session.describe()
    session.raise_error()
    return totals, told


def timed(bundle: Bundle, name: str, seconds: float, *, graphs: bool, depth: int, opener: Any = open_engine) -> Timed:
    """At the camera's pace, then as fast as it goes. Each run settles its engine anew, as a user's does."""

    def engine() -> Engine:
        made: Engine = opener(EngineConfig(name=name, options={"graphs": graphs}), None, bundle.read)
        return made

    spans = Spans()
    paced, told = run(bundle, engine(), FPS, seconds, depth=depth, trace=spans)
    device_ms = {part: statistics.median(values) for part, values in spans.device_ms.items()}
    prepare_ms = bare_prepare_ms(bundle)
    image = next(spec for spec in bundle.manifest.inputs if isinstance(spec, ImageInput))
    # A camera's tick runs what reads the camera, and what comes behind it.
    alone_ms = prepare_ms + sum(device_ms.get(part, 0.0) for part in on_the_way(bundle, f"input:{image.name}"))
    stages_ms = [prepare_ms, *device_ms.values()]
    saturated, _ = run(bundle, engine(), 4000 / max(stages_ms), seconds, depth=depth)
    return Timed(
        graphs,
        depth,
        device_ms,
        statistics.median(spans.host_ms.values()),
        prepare_ms,
        statistics.median(paced.total_ms),
        statistics.median(paced.total_ms) / alone_ms,
        saturated.rate(),
        saturated.rate() * max(stages_ms) / 1000,
        told.get("graphs", {}),
    )


def on_the_way(bundle: Bundle, source: str) -> list[str]:
    """The parts that run anew when `source` does."""
    reached, found = {source}, []
    for part in bundle.manifest.parts:
        if any(read.source.partition(".")[0] in reached for read in part.reads.values()):
            reached.add(f"part:{part.name}")
            found.append(part.name)
    return found


def bare_prepare_ms(bundle: Bundle, count: int = 200) -> float:
    """Of one picture, by the very code that the loop calls, with nothing around it."""
    image = next(spec for spec in bundle.manifest.inputs if isinstance(spec, ImageInput))
    made = preparer(image, bundle.read)
    arrays = {field: np.empty(bundle.manifest.fixed(spec.shape), spec.dtype) for field, spec in made.fields.items()}
    pictures, taken = frames(60), []
    for number in range(count):
        began = time.perf_counter()
        made.write(pictures[number % len(pictures)], arrays)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def soak(bundle: Bundle, name: str, minutes: float) -> dict[str, float]:
    """Memory of the host and of the device over a long run at the camera's pace."""
    from mm_edge.runtime.engines.cuda.device import open_device

    device, totals = open_device(), Totals()
    image = next(spec for spec in bundle.manifest.inputs if isinstance(spec, ImageInput))
    engine = open_engine(EngineConfig(name=name), None, bundle.read)
    host_mb, device_mb = [], []
    with Session(bundle, RunConfig(), [ReadyCamera(image.name, frames(60), FPS)], [totals], engine=engine) as session:
        session.wait(min(20.0, minutes * 10))
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until and not session.wait(1.0):
            host_mb.append(resident_mb())
            with device.current():
                device_mb.append(device.free_bytes() / 1e6)
    session.raise_error()
    return {
        "minutes": minutes,
        "predictions": float(len(totals.total_ms)),
        "host_grown_mb": host_mb[-1] - host_mb[0],
        "device_grown_mb": device_mb[0] - device_mb[-1],
    }


def sanitized(bundle_path: Path, name: str) -> dict[str, str]:
    """A short run under compute-sanitizer, in a process of its own."""
    found = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if found is None:
        return dict.fromkeys(TOOLS, "not run: compute-sanitizer is not installed")
    told = {}
    for tool in TOOLS:
        command = [found, "--tool", tool, "--error-exitcode", "9", sys.executable, "-m", __spec__.name]
        command += [str(bundle_path), "--engine", name, "--seconds", str(SANITIZED_S), "--plain"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        last = (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]
        told[tool] = last if done.returncode == 0 else f"failed ({done.returncode}): {last}"
    return told


def row(bundle: Bundle, path: Path, name: str, given: argparse.Namespace) -> Row:
    if lacks := list(missing(name)):
        return Row(name, "not here", "; ".join(lacks))
    try:
        settled = settle(bundle, EngineConfig(name=name), depth=2)
        told, golden = settled.describe(), tuple(str(shown) for shown in settled.golden)
        settled.close()
        ways = [(True, 2), (False, 2), (True, 1)]
        figures = tuple(timed(bundle, name, given.seconds, graphs=graphs, depth=depth) for graphs, depth in ways)
        if given.trace:
            trace = Trace(given.trace)
            run(bundle, open_engine(EngineConfig(name=name), None, bundle.read), FPS, 2.0, depth=2, trace=trace)
            trace.close()
        soaked = soak(bundle, name, given.soak) if given.soak else {}
    except MmEdgeError as error:
        return Row(name, "failed", str(error))
    return Row(name, "proven", "", told, golden, figures, soaked, sanitized(path, name) if given.sanitize else {})


def report(given: argparse.Namespace) -> GpuReport:
    watch, engines = Watch(), [given.engine] if given.engine else ON_A_GPU
    with Bundle.open(given.bundle) as bundle:
        rows = tuple(row(bundle, given.bundle, name, given) for name in engines)
        label = f"{bundle.manifest.name} {bundle.manifest.version}"
    devices = [each.settled["device"] for each in rows if "device" in each.settled]
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return GpuReport(when, label, devices[0] if devices else "none", machine(watch.heat()), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=SHIPPED, help="a .mmb; without one, what ships")
    parser.add_argument("--engine", help=f"one of {', '.join(ON_A_GPU)}; without it, each of them")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES", help="of a long run, memory watched")
    parser.add_argument("--trace", type=Path, help="write the timeline of host and device, for ui.perfetto.dev")
    parser.add_argument("--sanitize", action="store_true", help="run shortly under compute-sanitizer too")
    parser.add_argument("--plain", action="store_true", help="one run and no figures: what compute-sanitizer looks at")
    parser.add_argument("--json", type=Path, help="write the report there")
    given = parser.parse_args()
    if given.plain:
        with Bundle.open(given.bundle) as bundle:
            run(bundle, open_engine(EngineConfig(name=given.engine), None, bundle.read), FPS, given.seconds, depth=2)
        return
    made = report(given)
    text = msgspec.json.format(msgspec.json.encode(made), indent=1).decode()
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")
    for each in made.rows:
        print(f"{each.engine}: {each.state}{f' ({each.why})' if each.why else ''}")
        for figures in each.timed:
            print(f"  {json.dumps(msgspec.to_builtins(figures))}")


if __name__ == "__main__":
    main()
