"""Several cameras on one model, against one process for each: CPU a result, memory and age, in alternating turns.

Both are `mm-edge run` as it comes, on the same MJPEG cameras over HTTP, which run in another process. Loading and the
first seconds are not counted.

python -m mm_edge.benchmarks.studies.live.cameras [--cameras N] [--fps N] [--rounds N] [--seconds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.benchmarks.bench.machine import Watch
from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.cores import processor_name, usable_cores
from mm_edge.errors import WorkFailedError

from . import batching
from .mjpeg_cameras import mjpeg_cameras

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WARM_UP_S = 2.0
START_WITHIN_S = 60.0
TICKS_A_S = os.sysconf("SC_CLK_TCK")
FIGURES = ("cpu_ms_a_result", "pss_mb", "rss_mb", "age_p50_ms", "age_p99_ms", "results_a_second")
LIMITS = {"cpu_ms_a_result": 0.9, "pss_mb": 0.4, "age_p99_ms": 1.0}


def compare(cameras: int, fps: float, rounds: int, seconds: float) -> dict[str, Any]:
    """Every turn of both sides, and the median of the ratios of neighbours: the load of a machine changes within
    seconds.
    """
    bundle, watch = vision_bundle(), Watch()
    turns: dict[str, list[dict[str, float]]] = {"one_process": [], "processes": []}
    with mjpeg_cameras(cameras, fps) as urls:
        for number in range(rounds):
            sides = [("one_process", [urls]), ("processes", [[url] for url in urls])]
            for side, commands in sides if number % 2 else reversed(sides):
                turns[side].append(turn(bundle, commands, seconds))
    conditions = watch.conditions()
    medians = {
        side: {figure: statistics.median(each[figure] for each in done) for figure in FIGURES}
        for side, done in turns.items()
    }
    return {
        "cameras": cameras,
        "fps": fps,
        "rounds": rounds,
        "seconds": seconds,
        **medians,
        "ratios": {
            figure: statistics.median(
                one[figure] / other[figure] for one, other in zip(turns["one_process"], turns["processes"], strict=True)
            )
            for figure in FIGURES
        },
        "turns": turns,
        "others_share": conditions.others,
        "stolen_share": conditions.stolen,
    }


def turn(bundle: Path, commands: Sequence[Sequence[str]], seconds: float) -> dict[str, float]:
    """`mm-edge run` in a process for each list of cameras, all at the same time."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        files = [Path(folder, f"{number}.jsonl") for number in range(len(commands))]
        pids = [stack.enter_context(_run(bundle, urls, file)) for urls, file in zip(commands, files, strict=True)]
        cameras = sum(len(urls) for urls in commands)
        _wait_for(files, cameras)
        time.sleep(WARM_UP_S)
        began_ns, before_s = time.monotonic_ns(), _cpu_s(pids)
        time.sleep(seconds)
        ended_ns, after_s = time.monotonic_ns(), _cpu_s(pids)
        pss_mb, rss_mb = (sum(_memory_mb(pid, kind) for pid in pids) for kind in ("Pss", "Rss"))
        lines = [line for file in files for line in _predictions(file)]
        ages = [line["latency_ms"]["total"] for line in lines if began_ns <= line["t_ns"] < ended_ns]
    return {
        "cpu_ms_a_result": (after_s - before_s) * 1000 / len(ages),
        "pss_mb": pss_mb,
        "rss_mb": rss_mb,
        "age_p50_ms": float(np.percentile(ages, 50)),
        "age_p99_ms": float(np.percentile(ages, 99)),
        "results_a_second": len(ages) / ((ended_ns - began_ns) / 1e9),
    }


@contextlib.contextmanager
def _run(bundle: Path, urls: Sequence[str], file: Path) -> Iterator[int]:
    cameras = [word for url in urls for word in ("--camera", url)]
    command = [sys.executable, "-m", "mm_edge.cli", "run", str(bundle), *cameras, "--jsonl", str(file), "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def _wait_for(files: Sequence[Path], cameras: int) -> None:
    until_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until_s:
        seen = {(file, line.get("camera")) for file in files if file.exists() for line in _predictions(file)}
        if len(seen) == cameras:
            return
        time.sleep(0.1)
    raise WorkFailedError(f"not all cameras had a prediction within {START_WITHIN_S:.0f} s", action="measuring")


def _predictions(file: Path) -> list[dict[str, Any]]:
    whole = file.read_text().rpartition("\n")[0]  # the last line may still be written
    return [line for text in whole.splitlines() if (line := json.loads(text))["kind"] == "prediction"]


def _cpu_s(pids: Sequence[int]) -> float:
    """User and system time of all threads."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS_A_S


def _memory_mb(pid: int, kind: str) -> float:
    """Pss counts pages that several processes share in equal parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) * 1024 / 1e6


def not_met(found: dict[str, Any]) -> list[str]:
    """Every requirement that the ratios do not meet."""
    return [
        f"{figure}: {found['ratios'][figure]:.2f} of that of {found['cameras']} processes, more than {limit:g}"
        for figure, limit in LIMITS.items()
        if found["ratios"][figure] > limit
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn, after the first seconds")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    machine = {"cpu": processor_name(), "cores": usable_cores(), "python": platform.python_version()}
    found = {"machine": machine, **compare(given.cameras, given.fps, given.rounds, given.seconds)}
    # In a process without the exporter's libraries, whose threads disturb it.
    measured = subprocess.run([sys.executable, "-m", batching.__name__], stdout=subprocess.PIPE, check=True)
    found |= {"batching": json.loads(measured.stdout), "not_met": not_met(found)}
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if found["not_met"]:
        sys.exit("; ".join(found["not_met"]))


if __name__ == "__main__":
    main()
