"""What people write next: a thread that reads and keeps the newest frame; offline a queue and a worker a core."""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Any

from . import plain
from .drive import frames_of
from .newest import newest

if TYPE_CHECKING:
    from collections.abc import Iterator

AHEAD = 8


class Peer:
    """As many sessions as there are cores, one thread each."""

    def __init__(self, model: str) -> None:
        self._models = [plain.Peer(model) for _ in range(len(os.sched_getaffinity(0)))]

    def label(self, frame: Any) -> int:
        return int(self._models[0].label(frame))

    def offline(self, video: str) -> list[int]:
        frames: queue.Queue[Any] = queue.Queue(AHEAD)
        results: dict[int, int] = {}

        def work(model: Any) -> None:
            while (item := frames.get()) is not None:
                number, frame = item
                results[number] = model.label(frame)

        workers = [threading.Thread(target=work, args=(model,)) for model in self._models]
        for worker in workers:
            worker.start()
        for item in enumerate(frames_of(video)):
            frames.put(item)
        for _ in workers:
            frames.put(None)
        for worker in workers:
            worker.join()
        return [results[number] for number in sorted(results)]

    def live(self, camera: Any) -> Iterator[int]:
        for stamp, frame in newest(camera):
            self.label(frame)
            yield stamp
