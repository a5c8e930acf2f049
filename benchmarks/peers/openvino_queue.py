"""OpenVINO's AsyncInferQueue, with as many requests as OpenVINO itself takes to be best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import openvino as ov

from .drive import frames_of
from .newest import newest

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 224


class Peer:
    """Compiled for throughput, as its documentation advises for the queue; one request at a time for live."""

    def __init__(self, model: str) -> None:
        core = ov.Core()
        read = core.read_model(model)
        self._many = core.compile_model(read, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
        self._quick = core.compile_model(read, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
        self._request = self._quick.create_infer_request()

    def label(self, frame: Any) -> int:
        return int(self._request.infer([_prepared(frame)])[0].argmax())

    def offline(self, video: str) -> list[int]:
        results: dict[int, int] = {}

        def keep(request: Any, number: int) -> None:
            results[number] = int(request.get_output_tensor().data.argmax())

        requests = ov.AsyncInferQueue(self._many)
        requests.set_callback(keep)
        for number, frame in enumerate(frames_of(video)):
            requests.start_async([_prepared(frame)], number)
        requests.wait_all()
        return [results[number] for number in sorted(results)]

    def live(self, camera: Any) -> Iterator[int]:
        """The camera's thread keeps the newest; a queue of one request answers it."""
        for stamp, frame in newest(camera):
            self.label(frame)
            yield stamp


def _prepared(frame: Any) -> Any:
    return cv2.cvtColor(cv2.resize(frame, (SIDE, SIDE)), cv2.COLOR_BGR2RGB)[None]
