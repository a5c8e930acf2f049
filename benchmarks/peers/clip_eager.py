"""CLIP as its model card shows it: processor and model in torch, texts and picture in every call, one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import torch
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from . import torchvision_operators  # noqa: F401  # before what imports torchvision
from .clip_texts import TEXTS
from .drive import frames_of
from .newest import newest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Peer:
    """Torch's own number of threads."""

    def __init__(self, model: str) -> None:
        loaded: Any = CLIPModel.from_pretrained(model)
        self._model = self._made_ready(loaded.eval())
        self._pictures: Any = AutoImageProcessor.from_pretrained(model)
        self._words: Any = AutoTokenizer.from_pretrained(model)

    def label(self, frame: Any) -> int:
        words = self._words(list(TEXTS), return_tensors="pt", padding=True)
        picture = self._pictures(images=cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), return_tensors="pt")
        with torch.inference_mode():
            told = self._model(**words, **picture)
        return int(told.logits_per_image.argmax())

    def offline(self, video: str) -> list[int]:
        return [self.label(frame) for frame in frames_of(video)]

    def live(self, camera: Any) -> Iterator[int]:
        for stamp, frame in newest(camera):
            self.label(frame)
            yield stamp

    def _made_ready(self, model: Any) -> Any:
        return model
