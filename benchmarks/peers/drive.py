"""Drives one peer in its own environment: loads it, tells the first result, then does what it is told, line by line.

python -m peers.drive FOLDER.PEER MODEL VIDEO        (started by python -m mm_edge.benchmarks.peers, once a peer; in an
environment without mm-edge, so this folder is a package of its own there)

Commands on standard input: `live FPS SECONDS`, or `offline`; each is answered by one line of JSON. A peer is a file
of a folder beside this one with a class Peer: Peer(model), label(frame) once, live(camera, answers),
offline(video, answers). It calls `answers` with each result, and comes back when there are no more.
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
from .film import frames_of

PICTURES = 30  # that the camera shows in turn, ready in memory


def main(name: str, model: str, video: str) -> None:
    told = os.fdopen(os.dup(1), "w", buffering=1)  # what a library prints must not get between
    os.dup2(2, 1)
    try:
        first = next(iter(frames_of(video)))
        peer = importlib.import_module(f".{name}", __package__).Peer(model)
        told.write(json.dumps({"first": peer.label(first)}) + "\n")
        pictures = list(islice(frames_of(video), PICTURES))
        for line in sys.stdin:
            told.write(json.dumps(_answered(peer, line.split(), video, pictures)) + "\n")
    except Exception as error:  # noqa: BLE001  # whatever a library says to this model stands beside the table
        told.write(json.dumps({"cannot": f"{type(error).__name__}: {error}"}) + "\n")


def _answered(peer: Any, words: list[str], video: str, pictures: list[Any]) -> dict[str, Any]:
    answers = Answers()
    if words[0] == "offline":
        peer.offline(video, answers)
        return {"labels": answers.labels()} | answers.cost()
    peer.live(Camera(pictures, float(words[1]), float(words[2])), answers)
    of_camera = sum(picture.nbytes for picture in pictures)
    return {"ages_ms": answers.ages_ms(), "memory_mb": (_resident_bytes() - of_camera) / 1e6} | answers.cost()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(*sys.argv[1:])
