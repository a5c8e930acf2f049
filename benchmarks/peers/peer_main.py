"""Runs one peer in its own environment: loads it, reports the first result, then executes commands line by line.

python -m peers.peer_main FOLDER.PEER MODEL VIDEO

python -m mm_edge.benchmarks.peers starts it once a peer, in an environment without mm-edge, where this folder is a
package of its own. Commands on standard input: `live FPS SECONDS`, or `offline`; each is answered by one line of JSON.
A peer is a file of a folder next to this one with a class Peer: Peer(model), label(frame) for one frame, live(camera,
answers), offline(video, answers). It calls `answers` with each result, and returns when there are no more.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from .answers import Answers
from .camera import Camera
from .video import frames_of

PICTURES = 30  # that the camera repeats, ready in memory


def main(name: str, model: str, video: str) -> None:
    output = os.fdopen(os.dup(1), "w", buffering=1)  # kept apart from what a library prints
    os.dup2(2, 1)
    try:
        first = next(iter(frames_of(video)))
        peer = importlib.import_module(f".{name}", __package__).Peer(model)
        # After loading, so that variables that a library sets are recorded too.
        output.write(json.dumps({"first": peer.label(first), "environment": dict(os.environ)}) + "\n")
        pictures = list(islice(frames_of(video), PICTURES))
        for line in sys.stdin:
            output.write(json.dumps(_answer(peer, line.split(), video, pictures)) + "\n")
    except Exception as error:  # noqa: BLE001  # the report lists whatever a library raises on this model
        output.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")


def _answer(peer: Any, words: list[str], video: str, pictures: list[Any]) -> dict[str, Any]:
    answers = Answers()
    if words[0] == "offline":
        peer.offline(video, answers)
        return {"labels": answers.labels()} | answers.cost()
    peer.live(Camera(pictures, float(words[1]), float(words[2])), answers)
    of_camera = sum(picture.nbytes for picture in pictures)
    return {"latencies_ms": answers.latencies_ms(), "memory_mb": (_resident_bytes() - of_camera) / 1e6} | answers.cost()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(*sys.argv[1:])
