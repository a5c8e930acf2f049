"""Hand-written loops on OpenVINO, as in its documentation: AsyncInferQueue for files and for a model that is too slow,
one request for a model that keeps up. Precision and threads are OpenVINO's own choice.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import openvino as ov

from .plain import best, prepared_picture, read_video

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class OpenVinoModel:
    """`hint`: LATENCY or THROUGHPUT."""

    def __init__(self, graph: bytes, size: tuple[int, int], hint: str) -> None:
        core = ov.Core()
        model = core.read_model(graph)
        model.reshape({model.inputs[0].get_any_name(): [1, *size, 3]})
        self.compiled, self._size = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": hint}), size
        self._request = self.compiled.create_infer_request()

    def prepare(self, frame: NDArray[Any]) -> NDArray[Any]:
        return prepared_picture(frame, self._size)

    def answer(self, frame: NDArray[Any]) -> tuple[int, float]:
        """The index of the best label, and its score."""
        return best(self._request.infer([self.prepare(frame)])[0][0])


def queue_over_file(path: Path, model: OpenVinoModel) -> list[int]:
    labels: dict[int, int] = {}

    def done(request: Any, number: int) -> None:
        labels[number], _ = best(request.get_output_tensor().data[0])

    requests = ov.AsyncInferQueue(model.compiled)
    requests.set_callback(done)
    for number, frame in enumerate(read_video(path)):
        requests.start_async([model.prepare(frame)], number)
    requests.wait_all()
    return [labels[number] for number in sorted(labels)]


def queue_over_camera(camera: Any, model: OpenVinoModel, seconds: float) -> tuple[list[float], list[float]]:
    """The newest frame whenever a request is free. Returns the age of each result in ms, and its time in s."""
    ages, taken_s, lock = list[float](), list[float](), threading.Lock()

    def done(request: Any, t_ns: int) -> None:
        best(request.get_output_tensor().data[0])
        with lock:
            ages.append((time.monotonic_ns() - t_ns) / 1e6)
            taken_s.append(time.perf_counter())

    requests = ov.AsyncInferQueue(model.compiled)
    requests.set_callback(done)
    camera.open()
    until = time.monotonic() + seconds
    while time.monotonic() < until and (capture := camera.read()) is not None:
        if requests.is_ready():
            requests.start_async([model.prepare(capture.payload)], capture.t_ns)
    camera.interrupt()
    requests.wait_all()
    return ages, taken_s
