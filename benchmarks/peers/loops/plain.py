"""The sequential loop of most tutorials: read, preprocess and run with OpenCV and ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import onnxruntime as ort

from ..video import frames_of

if TYPE_CHECKING:
    from ..answers import Answers
    from ..camera import Camera

SIDE = 224


class Peer:
    """`threads` 0: ONNX Runtime's default, one per core."""

    def __init__(self, model: str, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def label(self, frame: Any) -> int:
        return self.answer(cv2.cvtColor(cv2.resize(frame, (SIDE, SIDE)), cv2.COLOR_BGR2RGB)[None])

    def answer(self, prepared: Any) -> int:
        return int(self._session.run(None, {self._name: prepared})[0].argmax())

    def offline(self, video: str, answers: Answers) -> None:
        for number, frame in enumerate(frames_of(video)):
            answers(number, self.label(frame))

    def live(self, camera: Camera, answers: Answers) -> None:
        while (captured := camera.read()) is not None:
            stamp, frame = captured
            answers(stamp, self.label(frame))
