"""Drives one peer in its own environment: loads it, tells the first result, then does what it is told, line by line.

python -m peers.drive PEER MODEL VIDEO        (started by python -m mm_edge.benchmarks.peers, once a peer; in an
environment without mm-edge, so this folder is a package of its own there)

Commands on standard input: `offline`, or `live FPS SECONDS`; each is answered by one line of JSON. A peer is a file
beside this one with a class Peer: Peer(model), label(frame), offline(video) -> labels, live(camera) -> stamps of the
frames that were answered, one at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

if TYPE_CHECKING:
    from collections.abc import Iterator

NS_PER_S = 1_000_000_000
DRIVER_KEEPS = 4  # frames that a camera's driver holds for a reader who is late, as V4L2 does with OpenCV


class Camera:
    """A camera that gives ready frames at a rate. A reader who is late gets the oldest that the driver still holds."""

    def __init__(self, pictures: list[Any], fps: float, seconds: float) -> None:
        self._pictures, self._period_ns = pictures, round(NS_PER_S / fps)
        self.fps, self.size = fps, pictures[0].shape[:2]
        self.ended = threading.Event()
        self._start_ns = time.monotonic_ns() + self._period_ns
        self._until_ns = self._start_ns + round(seconds * NS_PER_S)
        self._held: list[int] = []
        self._seen = 0

    def read(self) -> tuple[int, Any] | None:
        """The stamp of the capture and the picture; None at the end."""
        while True:
            now_ns = time.monotonic_ns()
            if now_ns >= self._until_ns:
                self.ended.set()
                return None
            there = max(0, (now_ns - self._start_ns) // self._period_ns + 1)
            while self._seen < there:
                if len(self._held) < DRIVER_KEEPS:  # a driver without a free buffer loses the frame
                    self._held.append(self._seen)
                self._seen += 1
            if self._held:
                number = self._held.pop(0)
                return self._start_ns + number * self._period_ns, self._pictures[number % len(self._pictures)]
            time.sleep(max(0, self._start_ns + self._seen * self._period_ns - time.monotonic_ns()) / NS_PER_S)


def frames_of(video: str) -> Iterator[Any]:
    capture = cv2.VideoCapture(video)
    while True:
        good, frame = capture.read()
        if not good:
            break
        yield frame
    capture.release()


def main(name: str, model: str, video: str) -> None:
    told = os.fdopen(os.dup(1), "w", buffering=1)  # what a library prints must not get between
    os.dup2(2, 1)
    pictures = [frame for frame, _ in zip(frames_of(video), range(60), strict=False)]
    try:
        peer = importlib.import_module(f".{name}", __package__).Peer(model)
        first = peer.label(pictures[0])
    except Exception as error:  # noqa: BLE001  # whatever a library says to this model stands in the table
        told.write(json.dumps({"cannot": f"{type(error).__name__}: {error}"}) + "\n")
        return
    told.write(json.dumps({"first": first, "rss_mb": _rss_mb()}) + "\n")
    for line in sys.stdin:
        words = line.split()
        cpu_s, began_s = _cpu_s(), time.perf_counter()
        if words[0] == "offline":
            labels = peer.offline(video)
            answer: dict[str, Any] = {"labels": labels, "results": len(labels)}
        else:
            ages_ms = []
            with contextlib.closing(peer.live(Camera(pictures, float(words[1]), float(words[2])))) as stamps:
                ages_ms = [(time.monotonic_ns() - stamp) / 1e6 for stamp in stamps]
            answer = {"ages_ms": ages_ms, "results": len(ages_ms)}
        answer |= {"seconds": time.perf_counter() - began_s, "cpu_s": _cpu_s() - cpu_s, "rss_mb": _rss_mb()}
        told.write(json.dumps(answer) + "\n")


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
