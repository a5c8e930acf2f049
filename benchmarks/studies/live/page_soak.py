"""Memory, file descriptors and threads of `run --demo --loop --view` while clients of the page come and go.

python -m mm_edge.benchmarks.studies.live.page_soak [--minutes N] [--clients N] [--seed N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import numpy as np
from msgspec import Struct

from mm_edge.benchmarks.bench.machine import Watch
from mm_edge.cores import processor_name, usable_cores
from mm_edge.errors import WorkFailedError

from .page_clients import come_and_go

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_MB_PER_MINUTE = 0.1
QUIET_S = 3.0  # without clients before each reading, so that what is read does not depend on who happens to be there
OPEN_WITHIN_S = 30.0
END_WITHIN_S = 10.0
INTERRUPTED = 130
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Reading(Struct, frozen=True):
    """The resources of the run while no client is connected."""

    minute: float
    resident_mb: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int, minute: float) -> Reading:
        process = Path(f"/proc/{pid}")
        resident_mb = int((process / "statm").read_text().split()[1]) * PAGE_BYTES / 1e6
        descriptors, threads = (len(list((process / name).iterdir())) for name in ("fd", "task"))
        return cls(round(minute, 3), round(resident_mb, 3), descriptors, threads)


def soak(minutes: float = 10.0, clients: int = 12, seed: int = 0, round_s: float = 30.0) -> dict[str, Any]:
    """Each round of `round_s` ends with a quiet moment, in which the resources are read."""
    chance, visits = np.random.default_rng(seed), Counter[str]()
    readings: list[Reading] = []
    watch = Watch()
    with page_of_the_demo() as (process, port):
        began_s = time.monotonic()
        while (spent_s := time.monotonic() - began_s) < minutes * 60:
            busy_s = min(round_s, minutes * 60 - spent_s) - QUIET_S
            visits += asyncio.run(come_and_go(port, max(1.0, busy_s), clients, chance))
            time.sleep(QUIET_S)
            if process.poll() is not None:
                break
            readings.append(Reading.of(process.pid, (time.monotonic() - began_s) / 60))
        process.terminate()  # a shell lets its background jobs ignore SIGINT, and so would the run
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_WITHIN_S)
        exit_code = process.returncode
    conditions = watch.conditions()
    return {
        "minutes": minutes,
        "clients": clients,
        "seed": seed,
        "visits": dict(sorted(visits.items())),
        **growth(readings),
        "exit_code": exit_code,
        "others_share": conditions.others,
        "stolen_share": conditions.stolen,
        "readings": [
            [reading.minute, reading.resident_mb, reading.descriptors, reading.threads] for reading in readings
        ],
    }


def growth(readings: list[Reading]) -> dict[str, float]:
    """Of the second half: the slope of the memory, and how many more descriptors and threads than in the first."""
    half = len(readings) // 2
    first, second = readings[:half], readings[half:]
    if len(first) < 1 or len(second) < 2:
        raise WorkFailedError(f"only {len(readings)} readings", action="measuring the growth", hint="Run it longer")
    minutes, memory = [reading.minute for reading in second], [reading.resident_mb for reading in second]
    return {
        "first_mb": readings[0].resident_mb,
        "last_mb": readings[-1].resident_mb,
        "mb_per_minute": round(float(np.polyfit(minutes, memory, 1)[0]), 4),
        **{
            f"more_{name}": statistics.median(getattr(reading, name) for reading in second)
            - statistics.median(getattr(reading, name) for reading in first)
            for name in ("descriptors", "threads")
        },
    }


def faults(found: dict[str, Any]) -> list[str]:
    """Every requirement that is not met."""
    requirements = {
        f"memory grows by {found['mb_per_minute']} MB a minute, more than {MOST_MB_PER_MINUTE}": found["mb_per_minute"]
        > MOST_MB_PER_MINUTE,
        f"{found['more_descriptors']:g} more file descriptors": found["more_descriptors"] > 0,
        f"{found['more_threads']:g} more threads": found["more_threads"] > 0,
        f"{found['visits'].get('failed', 0)} visits failed": found["visits"].get("failed", 0) > 0,
        f"exit code {found['exit_code']} instead of {INTERRUPTED}": found["exit_code"] != INTERRUPTED,
    }
    return [fault for fault, is_found in requirements.items() if is_found]


@contextlib.contextmanager
def page_of_the_demo() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`mm-edge run --demo --loop --view` in a process of its own, and its port once the page reports predictions."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mm_edge.cli", "run", "--demo", "--loop", "--view", str(port), "-q"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(process, port)
            yield process, port
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until_s = time.monotonic() + OPEN_WITHIN_S
    while process.poll() is None and time.monotonic() < until_s:
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1.0):
            return
        time.sleep(0.05)
    raise WorkFailedError("the page did not open", action="starting the demo", hint="Run mm-edge run --demo --view")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=12, help="at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    machine = {"cpu": processor_name(), "cores": usable_cores(), "python": platform.python_version()}
    found = {"machine": machine, **soak(given.minutes, given.clients, given.seed)}
    found["not_met"] = faults(found)
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if found["not_met"]:
        sys.exit("; ".join(found["not_met"]))


if __name__ == "__main__":
    main()
