"""The loop of every tutorial: read, prepare, run, one after the other, with OpenCV and ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import onnxruntime as ort

from .drive import frames_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 224


class Peer:
    """ONNX Runtime with its own defaults but for the threads: one a session is the best there is on few cores."""

    def __init__(self, model: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def label(self, frame: Any) -> int:
        return self.answer(cv2.cvtColor(cv2.resize(frame, (SIDE, SIDE)), cv2.COLOR_BGR2RGB)[None])

    def answer(self, prepared: Any) -> int:
        return int(self._session.run(None, {self._name: prepared})[0].argmax())

    def offline(self, video: str) -> list[int]:
        return [self.label(frame) for frame in frames_of(video)]

    def live(self, camera: Any) -> Iterator[int]:
        while (captured := camera.read()) is not None:
            stamp, frame = captured
            self.label(frame)
            yield stamp
