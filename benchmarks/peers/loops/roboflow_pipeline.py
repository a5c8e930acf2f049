"""Roboflow's InferencePipeline with custom logic: its threads and buffers around ONNX Runtime.

Roboflow's own models need an account; the comparison is of the pipeline, not of the model.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from . import torchvision_operators  # noqa: F401  # before what imports torchvision

# isort: split
from inference import InferencePipeline  # type: ignore[import-not-found]

from . import plain
from .simulated_capture import instead_of_cv2, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..answers import Answers
    from ..camera import Camera

# The pipeline reopens a camera that has ended, so it must be terminated. If it is terminated at the very moment the
# camera ends, it discards its reader's end marker and waits forever; the stall avoids that race.
STALLS_S = 1.0


class Peer:
    """The model of the sequential loop, in Roboflow's pipeline."""

    def __init__(self, model: str) -> None:
        self._model = plain.Peer(model)

    def label(self, frame: Any) -> int:
        return self._model.label(frame)

    def offline(self, video: str, answers: Answers) -> None:
        numbers = count()
        pipeline = self._pipeline(video, lambda label, _frame: answers(next(numbers), label))
        pipeline.start()
        pipeline.join()

    def live(self, camera: Camera, answers: Answers) -> None:
        with instead_of_cv2(camera, STALLS_S):
            pipeline = self._pipeline(0, lambda label, frame: answers(stamp_of(frame.image), label))
            pipeline.start(use_main_thread=False)
            camera.ended.wait()
            pipeline.terminate()
            pipeline.join()

    def _pipeline(self, source: Any, sink: Callable[[int, Any], Any]) -> Any:
        return InferencePipeline.init_with_custom_logic(
            video_reference=source,
            on_video_frame=lambda frames: [self._model.label(frame.image) for frame in frames],
            on_prediction=sink,
        )
