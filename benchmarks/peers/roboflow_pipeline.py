"""Roboflow's InferencePipeline with logic of one's own: its threads and buffers around ONNX Runtime.

Models of its own need an account; what is compared is what it brings around a model.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from inference import InferencePipeline  # type: ignore[import-not-found]

from . import (
    plain,
    torchvision_operators,  # noqa: F401  # before what imports torchvision
)
from .driven_capture import instead_of_cv2, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Peer:
    """The model of the plain loop, in its pipeline."""

    def __init__(self, model: str) -> None:
        self._model = plain.Peer(model)

    def label(self, frame: Any) -> int:
        return self._model.label(frame)

    def offline(self, video: str) -> list[int]:
        labels: list[int] = []
        pipeline = self._pipeline(video, lambda label, _frame: labels.append(label))
        pipeline.start()
        pipeline.join()
        return labels

    def live(self, camera: Any) -> Iterator[int]:
        answered: queue.Queue[int | None] = queue.Queue()
        with instead_of_cv2(camera):
            pipeline = self._pipeline(0, lambda _label, frame: answered.put(stamp_of(frame.image)))
            pipeline.start(use_main_thread=False)

            def stop() -> None:
                camera.ended.wait()  # it would open a camera that is gone again and again
                pipeline.terminate()
                pipeline.join()
                answered.put(None)

            threading.Thread(target=stop, daemon=True).start()
            while (stamp := answered.get()) is not None:
                yield stamp

    def _pipeline(self, source: Any, sink: Callable[[int, Any], Any]) -> Any:
        return InferencePipeline.init_with_custom_logic(
            video_reference=source,
            on_video_frame=lambda frames: [self._model.label(frame.image) for frame in frames],
            on_prediction=sink,
        )
