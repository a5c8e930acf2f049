"""OpenVINO's AsyncInferQueue with OpenVINO's own number of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import openvino as ov

from ..video import frames_of
from .newest import newest

if TYPE_CHECKING:
    from ..answers import Answers
    from ..camera import Camera

SIDE = 224


class Peer:
    """Compiled for throughput offline, as its documentation advises for the queue; live for latency, one request."""

    def __init__(self, model: str) -> None:
        self._core = ov.Core()
        self._read = self._core.read_model(model)
        self._request = self._core.compile_model(
            self._read, "CPU", {"PERFORMANCE_HINT": "LATENCY"}
        ).create_infer_request()

    def label(self, frame: Any) -> int:
        return int(self._request.infer([_prepared(frame)])[0].argmax())

    def offline(self, video: str, answers: Answers) -> None:
        def on_result(request: Any, number: int) -> None:
            answers(number, int(request.get_output_tensor().data.argmax()))

        requests = ov.AsyncInferQueue(self._core.compile_model(self._read, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}))
        requests.set_callback(on_result)
        for number, frame in enumerate(frames_of(video)):
            requests.start_async([_prepared(frame)], number)
        requests.wait_all()

    def live(self, camera: Camera, answers: Answers) -> None:
        for stamp, frame in newest(camera):
            answers(stamp, self.label(frame))


def _prepared(frame: Any) -> Any:
    return cv2.cvtColor(cv2.resize(frame, (SIDE, SIDE)), cv2.COLOR_BGR2RGB)[None]
