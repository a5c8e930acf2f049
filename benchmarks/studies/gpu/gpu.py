"""Checks and times a bundle on this machine's GPU with every engine that loads.

python -m mm_edge.benchmarks.studies.gpu.gpu [BUNDLE] [--json FILE] [--trace FILE] [--soak MINUTES] [--sanitize]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

import mm_edge
from mm_edge.benchmarks.bench.frames import ReadyCamera, frames
from mm_edge.benchmarks.bench.machine import Watch, machine
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import EngineConfig, LoopConfig, RunConfig
from mm_edge.errors import MmEdgeError
from mm_edge.runtime.engines.available import ON_A_GPU, missing
from mm_edge.runtime.engines.selection.choose import open_engine
from mm_edge.runtime.engines.selection.select_engine import select_engine
from mm_edge.runtime.prepare import preparer
from mm_edge.runtime.process import resident_mb
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.runtime.sources.text.literal import LiteralText
from mm_edge.runtime.trace import Trace
from mm_edge.sample import Prediction
from mm_edge.spec import ImageInput, TextInput

from .gpu_report import GpuReport, Row, Timed, failures, faults_found, leaks, slow_hosts, slow_pipelines, waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mm_edge.runtime.engine import Engine

FPS = 30.0
TEXT = "the red cube"
SHIPPED = Path(mm_edge.__file__).parent / "data" / "scout.mmb"
SANITIZED_S = 3.0
TOOLS = ("memcheck", "racecheck")
SANITIZER_WITHIN_S = 900.0


class Spans:
    """A trace in memory: compute time of each part on the device, time of a worker to enqueue it, and copies."""

    def __init__(self) -> None:
        self.device_ms: defaultdict[str, list[float]] = defaultdict(list)
        self.host_ms: defaultdict[int, float] = defaultdict(float)
        self.copies = 0

    def span(self, lane: str, label: str, start_ns: int, end_ns: int, moment_seq: int | None = None) -> None:
        if lane == f"GPU {label}":  # a part's runs, not its copies
            self.device_ms[label].append((end_ns - start_ns) / 1e6)
        elif lane.startswith("GPU copies "):
            self.copies += 1
        elif moment_seq is not None and label.startswith(("encode", "fuse")):
            self.host_ms[moment_seq] += (end_ns - start_ns) / 1e6

    def instant(self, *_: Any) -> None:
        """Not needed: captures and drops are not evaluated."""


@contextmanager
def waiting_copies() -> Iterator[Counter[str]]:
    """Counts copies that block the host: calls of pycuda's synchronous copy functions."""
    from pycuda import driver

    counted: Counter[str] = Counter()

    def counting(name: str, copy: Callable[..., Any]) -> Callable[..., Any]:
        def counted_copy(*given: Any, **named: Any) -> Any:
            counted[name] += 1
            return copy(*given, **named)

        return counted_copy

    real = {name: getattr(driver, name) for name in dir(driver) if name.startswith("memcpy_")}
    real = {name: copy for name, copy in real.items() if not name.endswith("_async")}
    try:
        for name, copy in real.items():
            setattr(driver, name, counting(name, copy))
        yield counted
    finally:
        for name, copy in real.items():
            setattr(driver, name, copy)


class Totals(NullSink):
    """Latencies at delivery, and times of arrival."""

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
    with Run(bundle, config, sources, [totals], engine=engine, trace=trace) as session:
        session.wait(seconds)
        description = session.describe()
    session.raise_error()
    return totals, description


def timed(bundle: Bundle, name: str, seconds: float, *, graphs: bool, depth: int) -> Timed:
    """At the camera's rate, then saturated. Each run selects its engine again, as a user's run does."""

    def engine() -> Engine:
        made: Engine = open_engine(EngineConfig(name=name, options={"graphs": graphs}), None, bundle.read)
        return made

    spans = Spans()
    with waiting_copies() as waiting:
        paced, description = run(bundle, engine(), FPS, seconds, depth=depth, trace=spans)
    device_ms = {part: statistics.median(values) for part, values in spans.device_ms.items()}
    prepare_ms = bare_prepare_ms(bundle)
    image = next(spec for spec in bundle.manifest.inputs if isinstance(spec, ImageInput))
    # A tick of the camera runs the parts that read the camera, and those that depend on them.
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
        description.get("graphs", {}),
        spans.copies / len(paced.total_ms),
        waiting.total(),
    )


def on_the_way(bundle: Bundle, source: str) -> list[str]:
    """The parts that run again when `source` changes."""
    reached, found = {source}, []
    for part in bundle.manifest.parts:
        if any(read.source.partition(".")[0] in reached for read in part.reads.values()):
            reached.add(f"part:{part.name}")
            found.append(part.name)
    return found


def bare_prepare_ms(bundle: Bundle, count: int = 200) -> float:
    """Preparation of one picture, by the code that the loop calls."""
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
    """Host and device memory over a long run at the camera's rate."""
    from mm_edge.runtime.engines.cuda.device import open_device

    device, totals = open_device(), Totals()
    image = next(spec for spec in bundle.manifest.inputs if isinstance(spec, ImageInput))
    engine = open_engine(EngineConfig(name=name), None, bundle.read)
    host_mb, device_mb = [], []
    with Run(bundle, RunConfig(), [ReadyCamera(image.name, frames(60), FPS)], [totals], engine=engine) as session:
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


def sanitized(bundle_path: Path, name: str, seconds: float) -> dict[str, str]:
    """A short run under compute-sanitizer, in a process of its own."""
    found = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if found is None:
        return dict.fromkeys(TOOLS, "not run: compute-sanitizer is not installed")
    return {tool: _under(found, tool, bundle_path, name, min(seconds, SANITIZED_S)) for tool in TOOLS}


def _under(sanitizer: str, tool: str, bundle_path: Path, name: str, seconds: float) -> str:
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", *_myself(bundle_path, name)]
    command += ["--seconds", str(seconds), "--plain"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SANITIZER_WITHIN_S)
    except subprocess.TimeoutExpired:
        return f"failed: timeout after {SANITIZER_WITHIN_S:.0f} s"
    last = _last_line(done)
    if "Device not supported" in done.stdout:
        return "not run: compute-sanitizer does not support this device"
    return last if done.returncode == 0 else f"failed ({done.returncode}): {last}"


def _myself(bundle_path: Path, name: str) -> list[str]:
    return [sys.executable, "-m", "mm_edge.benchmarks.studies.gpu.gpu", str(bundle_path), "--engine", name]


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]


def row(bundle: Bundle, path: Path, name: str, given: argparse.Namespace) -> Row:
    if lacks := list(missing(name)):
        return Row(name, "not available", "; ".join(lacks))
    try:
        opened = open_engine(EngineConfig(name=name), None, bundle.read)
        settled = select_engine(bundle, EngineConfig(name=name), depth=2, engine=opened)
        told, golden = settled.describe(), tuple(str(shown) for shown in settled.golden)
        settled.close()
        ways = [(True, 2), (False, 2), (True, 1)]
        figures = tuple(timed(bundle, name, given.seconds, graphs=graphs, depth=depth) for graphs, depth in ways)
        if given.trace:
            # A row of its own for each engine: gpu-trace.json becomes gpu-trace.tensorrt.json.
            trace = Trace(given.trace.with_suffix(f".{name.replace(':', '-')}.json"))
            run(bundle, open_engine(EngineConfig(name=name), None, bundle.read), FPS, 2.0, depth=2, trace=trace)
            trace.close()
        soaked = soak(bundle, name, given.soak) if given.soak else {}
    except MmEdgeError as error:
        return Row(name, "failed", str(error))
    return Row(
        name,
        "passed",
        "",
        told,
        golden,
        figures,
        soaked,
        sanitized(path, name, given.seconds) if given.sanitize else {},
    )


def row_apart(name: str, given: argparse.Namespace) -> Row:
    """In a child process, so that an engine that loses the device or crashes does not affect the others."""
    if lacks := list(missing(name)):
        return Row(name, "not available", "; ".join(lacks))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        command = [*_myself(given.bundle, name), "--seconds", str(given.seconds), "--soak", str(given.soak)]
        command += ["--json", str(path), *(["--sanitize"] if given.sanitize else [])]
        command += ["--trace", str(given.trace)] if given.trace else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not path.exists():
            return Row(name, "failed", f"the process ended with exit code {done.returncode}: {_last_line(done)}")
        (made,) = msgspec.json.decode(path.read_bytes(), type=GpuReport).rows
        return made


def report(given: argparse.Namespace) -> GpuReport:
    watch = Watch()
    with Bundle.open(given.bundle) as bundle:
        label = f"{bundle.manifest.name} {bundle.manifest.version}"
        if given.engine:
            rows: tuple[Row, ...] = (row(bundle, given.bundle, given.engine, given),)
        else:
            rows = tuple(row_apart(name, given) for name in ON_A_GPU)
    devices = [each.settled["device"] for each in rows if "device" in each.settled]
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return GpuReport(when, label, devices[0] if devices else "none", machine(watch.conditions()), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=SHIPPED, help="a .mmb file [default: the bundle that ships]"
    )
    parser.add_argument("--engine", help=f"one of {', '.join(ON_A_GPU)} [default: all, each in its own process]")
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of each run")
    parser.add_argument(
        "--soak",
        type=float,
        default=0.0,
        metavar="MINUTES",
        help="duration of an additional run with memory monitoring",
    )
    parser.add_argument("--trace", type=Path, help="write the timeline of host and device, one file per engine")
    parser.add_argument("--sanitize", action="store_true", help="also run briefly under compute-sanitizer")
    parser.add_argument("--plain", action="store_true", help="one run without figures, for compute-sanitizer")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    given = parser.parse_args()
    if given.plain:
        with Bundle.open(given.bundle) as bundle:
            run(bundle, open_engine(EngineConfig(name=given.engine), None, bundle.read), FPS, given.seconds, depth=2)
        return
    made = report(given)
    if given.json:
        text = msgspec.json.format(msgspec.json.encode(made), indent=1).decode()
        given.json.write_text(text + "\n", encoding="utf-8")
    for each in made.rows:
        print(f"{each.engine}: {each.state}{f' ({each.why})' if each.why else ''}")
        for figures in each.timed:
            print(f"  {json.dumps(msgspec.to_builtins(figures))}")
    for check in (failures, slow_hosts, waits, slow_pipelines, leaks, faults_found):
        for finding in check(made):
            print(f"{check.__name__.replace('_', ' ')}: {finding}")


if __name__ == "__main__":
    main()
