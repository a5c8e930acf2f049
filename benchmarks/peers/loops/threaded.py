"""The usual threaded loop: live, a thread that keeps the newest frame; offline, a queue and a worker per core."""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Any

from ..video import frames_of
from . import plain
from .newest import newest

if TYPE_CHECKING:
    from ..answers import Answers
    from ..camera import Camera

AHEAD = 8


class Peer:
    """Live, one session on all cores, for the lowest latency; offline, one single-threaded session per core."""

    def __init__(self, model: str) -> None:
        self._path = model
        self._quick = plain.Peer(model)

    def label(self, frame: Any) -> int:
        return self._quick.label(frame)

    def offline(self, video: str, answers: Answers) -> None:
        frames: queue.Queue[Any] = queue.Queue(AHEAD)

        def work(model: plain.Peer) -> None:
            while (item := frames.get()) is not None:
                number, frame = item
                answers(number, model.label(frame))

        models = [plain.Peer(self._path, threads=1) for _ in os.sched_getaffinity(0)]
        workers = [threading.Thread(target=work, args=(model,)) for model in models]
        for worker in workers:
            worker.start()
        for item in enumerate(frames_of(video)):
            frames.put(item)
        for _ in workers:
            frames.put(None)
        for worker in workers:
            worker.join()

    def live(self, camera: Camera, answers: Answers) -> None:
        for stamp, frame in newest(camera):
            answers(stamp, self.label(frame))
