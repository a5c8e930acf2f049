"""Hand-written loops around the same ONNX file, for comparison in the same process.

They use ONNX Runtime as in its documentation, but with one thread per session, which is fastest on few cores; with the
default threads the same loops use several times the CPU. Each answer is the index of a label and its score.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mm_edge.onnx_runtime import import_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

ort = import_onnxruntime()


class PlainModel:
    """One session with one thread; takes a BGR frame of any size."""

    def __init__(self, graph: bytes, size: tuple[int, int]) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._name, self._size = self.session.get_inputs()[0].name, size

    def prepare(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return prepared_picture(frame, self._size)

    def run(self, prepared: NDArray[np.uint8]) -> Any:
        return self.session.run(None, {self._name: prepared})[0]

    def answer(self, frame: NDArray[np.uint8]) -> tuple[int, float]:
        """The index of the best label, and its score."""
        return best(self.run(self.prepare(frame))[0])


def prepared_picture(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return cv2.cvtColor(cv2.resize(frame, size[::-1]), cv2.COLOR_BGR2RGB)[None]  # type: ignore[return-value]


def best(logits: NDArray[np.float32]) -> tuple[int, float]:
    scores = np.exp(logits - logits.max())
    scores /= scores.sum()
    index = int(scores.argmax())
    return index, float(scores[index])


def read_video(path: Path) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(path))
    while True:
        good, frame = capture.read()
        if not good:
            break
        yield frame  # type: ignore[misc]
    capture.release()


def one_after_the_other(path: Path, model: PlainModel) -> list[int]:
    """Read, prepare, run: the sequential loop of most tutorials."""
    return [model.answer(frame)[0] for frame in read_video(path)]


def reader_and_two_workers(path: Path, models: list[PlainModel]) -> list[int]:
    """A reader thread, a queue, one worker per session; results are sorted at the end."""
    frames: queue.Queue[Any] = queue.Queue(8)
    results: dict[int, int] = {}

    def work(model: PlainModel) -> None:
        while (item := frames.get()) is not None:
            number, frame = item
            results[number], _ = model.answer(frame)

    workers = [threading.Thread(target=work, args=(model,)) for model in models]
    for worker in workers:
        worker.start()
    for item in enumerate(read_video(path)):
        frames.put(item)
    for _ in workers:
        frames.put(None)
    for worker in workers:
        worker.join()
    return [results[number] for number in sorted(results)]


def newest_wins(camera: Any, model: PlainModel, seconds: float) -> tuple[list[float], list[float]]:
    """The usual live loop: a thread keeps the newest frame, the main thread takes it. Returns the age of each result in
    ms, and its time in s.
    """
    newest: deque[Any] = deque(maxlen=1)
    arrived = threading.Event()
    ended = threading.Event()

    def keep() -> None:
        camera.open()
        while not ended.is_set() and (capture := camera.read()) is not None:
            newest.append(capture)
            arrived.set()
        arrived.set()

    reader = threading.Thread(target=keep)
    reader.start()
    ages, taken_s = list[float](), list[float]()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        arrived.wait()
        arrived.clear()
        if not newest:
            continue
        capture = newest.popleft()
        model.answer(capture.payload)
        ages.append((time.monotonic_ns() - capture.t_ns) / 1e6)
        taken_s.append(time.perf_counter())
    ended.set()
    camera.interrupt()
    reader.join()
    return ages, taken_s
