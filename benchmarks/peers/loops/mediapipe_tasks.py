"""MediaPipe's image classifier with the converted weights (tflite_model.py), in its video and live-stream modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import mediapipe as mp  # type: ignore[import-not-found]
from mediapipe.tasks.python import BaseOptions, vision  # type: ignore[import-not-found]

from ..video import frames_of

if TYPE_CHECKING:
    from ..answers import Answers
    from ..camera import Camera

MS_A_FRAME = 33  # timestamps only have to increase


class Peer:
    """One classifier for each running mode."""

    def __init__(self, model: str) -> None:
        self._model = model

    def label(self, frame: Any) -> int:
        with self._classifier(vision.RunningMode.IMAGE) as classifier:
            return _best(classifier.classify(_picture(frame)))

    def offline(self, video: str, answers: Answers) -> None:
        with self._classifier(vision.RunningMode.VIDEO) as classifier:
            for number, frame in enumerate(frames_of(video)):
                answers(number, _best(classifier.classify_for_video(_picture(frame), number * MS_A_FRAME)))

    def live(self, camera: Camera, answers: Answers) -> None:
        """MediaPipe drops frames itself while it is busy."""
        stamps: list[int] = []

        def on_result(result: Any, _picture: Any, number: int) -> None:
            answers(stamps[number], _best(result))

        with self._classifier(vision.RunningMode.LIVE_STREAM, result_callback=on_result) as classifier:
            while (captured := camera.read()) is not None:
                stamp, frame = captured
                stamps.append(stamp)
                classifier.classify_async(_picture(frame), len(stamps) - 1)

    def _classifier(self, mode: Any, **more: Any) -> Any:
        options = vision.ImageClassifierOptions(
            base_options=BaseOptions(model_asset_path=self._model), running_mode=mode, max_results=1, **more
        )
        return vision.ImageClassifier.create_from_options(options)


def _picture(frame: Any) -> Any:
    return mp.Image(mp.ImageFormat.SRGB, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def _best(result: Any) -> int:
    return int(result.classifications[0].categories[0].index)
