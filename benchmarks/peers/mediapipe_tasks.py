"""MediaPipe's image classifier, given the same model file: what it says to it is what the table tells."""

from __future__ import annotations

from typing import Any

import cv2
import mediapipe as mp  # type: ignore[import-not-found]
from mediapipe.tasks.python import BaseOptions, vision  # type: ignore[import-not-found]


class Peer:
    """Ends with MediaPipe's own error where it does not take the model."""

    def __init__(self, model: str) -> None:
        options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=1)
        self._classifier = vision.ImageClassifier.create_from_options(options)

    def label(self, frame: Any) -> int:
        picture = mp.Image(mp.ImageFormat.SRGB, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        return int(self._classifier.classify(picture).classifications[0].categories[0].index)
