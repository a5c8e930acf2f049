"""Ultralytics' predict(stream=True) on the same graph with a float input (float_input.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import torchvision_operators  # noqa: F401  # before what imports torchvision

# isort: split
os.environ["YOLO_OFFLINE"] = "1"  # before the import, which would check for updates

from ultralytics import YOLO  # type: ignore[import-not-found]

from .simulated_capture import instead_of_cv2, stamp_of

if TYPE_CHECKING:
    from ..answers import Answers
    from ..camera import Camera

SIDE = 224
A_CAMERA = "0"


class Peer:
    """Its own reading, resizing, cropping and threads, as in its documentation."""

    def __init__(self, model: str) -> None:
        self._model = YOLO(model, task="classify")
        self._how: dict[str, Any] = {"imgsz": SIDE, "device": "cpu", "verbose": False, "save": False}

    def label(self, frame: Any) -> int:
        return int(self._model.predict(frame, **self._how)[0].probs.top1)

    def offline(self, video: str, answers: Answers) -> None:
        for number, result in enumerate(self._model.predict(video, stream=True, **self._how)):
            answers(number, int(result.probs.top1))

    def live(self, camera: Camera, answers: Answers) -> None:
        with instead_of_cv2(camera):
            for result in self._model.predict(A_CAMERA, stream=True, **self._how):
                answers(stamp_of(result.orig_img), int(result.probs.top1))
