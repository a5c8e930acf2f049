"""CLIP as in its model card: processor and model in torch, with texts and picture in every call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from ..loops import torchvision_operators  # noqa: F401  # before what imports torchvision

# isort: split
import torch
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from ..loops.newest import newest
from ..video import frames_of
from .clip_texts import TEXTS

if TYPE_CHECKING:
    from ..answers import Answers
    from ..camera import Camera


class Peer:
    """With torch's default number of threads."""

    def __init__(self, model: str) -> None:
        loaded: Any = CLIPModel.from_pretrained(model)
        self._model = loaded.eval()
        self._pictures: Any = AutoImageProcessor.from_pretrained(model)
        self._words: Any = AutoTokenizer.from_pretrained(model)

    def label(self, frame: Any) -> int:
        with torch.inference_mode():
            outputs = self._model(**self.words(), **self.picture(frame))
        return int(outputs.logits_per_image.argmax())

    def words(self) -> Any:
        return self._words(list(TEXTS), return_tensors="pt", padding=True)

    def picture(self, frame: Any) -> Any:
        return self._pictures(images=cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), return_tensors="pt")

    def offline(self, video: str, answers: Answers) -> None:
        for number, frame in enumerate(frames_of(video)):
            answers(number, self.label(frame))

    def live(self, camera: Camera, answers: Answers) -> None:
        for stamp, frame in newest(camera):
            answers(stamp, self.label(frame))
