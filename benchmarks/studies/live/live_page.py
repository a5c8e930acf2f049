"""The cost of the live page for the loop: with five viewers of a 720p camera at 30 frames/s, and without viewers.

python -m mm_edge.benchmarks.studies.live.live_page [--seconds N] [--viewers N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from mm_edge.benchmarks.bench.frames import ReadyCamera, frames
from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.runtime.process import cpu_seconds
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.view.server import ViewServer

from .timed_run import Ages

FPS = 30.0
ROUNDS = 4  # modes take turns, so that drift affects all of them
WARM_UP = 15  # predictions that are not counted


def measure(seconds: float, viewers: int) -> dict[str, float]:
    """Latencies without a page, with a page without viewers, and with `viewers` in a child process."""
    pictures = frames(60)
    ways = {"none": (False, 0), "idle": (True, 0), "watched": (True, viewers)}
    total_ms: dict[str, list[float]] = {way: [] for way in ways}
    cpu_s: dict[str, float] = dict.fromkeys(ways, 0.0)
    page_s: dict[str, float] = dict.fromkeys(ways, 0.0)
    seen: list[float] = []
    with Bundle.open(vision_bundle()) as bundle:
        for _ in range(ROUNDS):
            for way, (page, watching) in ways.items():
                ages, used, used_by_page, rates = _run(bundle, pictures, seconds / ROUNDS, page=page, viewers=watching)
                total_ms[way] += ages.total_ms[WARM_UP:]
                cpu_s[way] += used
                page_s[way] += used_by_page
                seen += rates
    figures = {
        f"{way}_{name}_ms": float(np.percentile(values, percent))
        for way, values in total_ms.items()
        for name, percent in (("p50", 50), ("p99", 99))
    }
    return {
        **figures,
        "watched_p99_ratio": figures["watched_p99_ms"] / figures["none_p99_ms"],
        "idle_p99_ratio": figures["idle_p99_ms"] / figures["none_p99_ms"],
        "idle_share_of_a_core": page_s["idle"] / seconds,
        "watched_share_of_a_core": (cpu_s["watched"] - cpu_s["none"]) / seconds,
        "frames_a_second_of_the_slowest_viewer": min(seen, default=0.0),
        "predictions_each": min(len(values) for values in total_ms.values()),
    }


def _run(
    bundle: Bundle, pictures: list[Any], seconds: float, *, page: bool, viewers: int
) -> tuple[Ages, float, float, list[float]]:
    ages, server = Ages(), ViewServer(port=0)
    sinks: list[Any] = [ages]
    if page:
        server.start()
        sinks.append(server)
    session = Run(bundle, RunConfig(), [ReadyCamera("image", pictures, FPS)], sinks)
    with session, _watched(server.port, viewers, seconds) as rates:
        before, before_page = cpu_seconds(), _page_seconds()
        session.wait(seconds)
        used, used_by_page = cpu_seconds() - before, _page_seconds() - before_page
    session.raise_error()
    return ages, used, used_by_page, rates


def _page_seconds() -> float:
    """CPU time of the page's threads: the server and its sink."""
    return sum(
        time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.name in {"mm-edge-view", "mm-edge-sink-view"} and thread.ident
    )


@contextlib.contextmanager
def _watched(port: int, viewers: int, seconds: float) -> Any:
    """Viewers in a child process; their frame rates are available when they have finished."""
    rates: list[float] = []
    if not viewers:
        yield rates
        return
    command = [
        sys.executable,
        "-m",
        __spec__.name,
        "--watch",
        str(port),
        "--viewers",
        str(viewers),
        "--seconds",
        str(seconds),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watchers:
        time.sleep(1.0)  # until they are connected
        yield rates
        output, _ = watchers.communicate()
        rates += json.loads(output)


async def _watch(port: int, viewers: int, seconds: float) -> list[float]:
    return await asyncio.gather(*(_one(port, seconds) for _ in range(viewers)))


async def _one(port: int, seconds: float) -> float:
    """Frames per second from the first to the last. Acknowledges each at once, as the page does."""
    import aiohttp

    times: list[float] = []
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"http://127.0.0.1:{port}/live", max_msg_size=0) as page,
    ):
        until_s = time.monotonic() + seconds
        async for message in page:
            if message.type is aiohttp.WSMsgType.BINARY:
                times.append(time.monotonic())
                await page.send_str('{"kind":"drawn","frame":0}')
            if time.monotonic() > until_s:
                break
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of each of the three modes")
    parser.add_argument("--viewers", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--watch", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.watch:
        print(json.dumps(asyncio.run(_watch(given.watch, given.viewers, given.seconds))))
        return
    figures = measure(given.seconds, given.viewers)
    for name, value in figures.items():
        print(f"{name:40} {value:10.3f}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
