"""Ours, driven like the others: `run` on a file at full speed, and live on the same camera; nothing is configured."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.runtime.session.predict import Predictor
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.runtime.source import Capture, Opened
from mm_edge.runtime.sources.play import PlayClock
from mm_edge.runtime.sources.registry import open_source
from mm_edge.sample import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..answers import Answers
    from ..camera import Camera

AHEAD = 64  # results that may wait for the one who reads them


class Peer:
    """`model` is the bundle that holds the same ONNX file."""

    def __init__(self, model: str) -> None:
        self.bundle = Bundle.open(model)

    def inputs(self, frame: Any) -> dict[str, Any]:
        return {"image": frame}

    def beside_the_camera(self) -> list[Any]:
        return []

    def number(self, prediction: Prediction) -> int:
        told: Any = prediction.outputs["label"]
        return int(told["label"].split()[1])

    def label(self, frame: Any) -> int:
        with closing(Predictor.load(self.bundle, RunConfig())) as predictor:
            return self.number(predictor.predict(self.inputs(frame)))

    def offline(self, video: str, answers: Answers) -> None:
        sink = Told(lambda prediction: answers(prediction.seq, self.number(prediction)))
        film: Any = open_source(video, self.bundle.manifest.input("image"), RunConfig().sources, PlayClock("max"))
        with Run(self.bundle, RunConfig(), [film, *self.beside_the_camera()], [sink], in_step=True) as session:
            session.wait()
        session.raise_error()

    def live(self, camera: Camera, answers: Answers) -> None:
        session = Run(self.bundle, RunConfig(), [DrivenCamera(camera), *self.beside_the_camera()], [])
        with session.tap(AHEAD) as tap, session:
            while (item := tap.wait_take()) is not None:
                if isinstance(item, Prediction):
                    answers(item.t_ns, self.number(item))
        session.raise_error()


class Told(NullSink):
    """Hands each prediction over."""

    def __init__(self, tell: Callable[[Prediction], None]) -> None:
        self._tell = tell

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self._tell(item)


class DrivenCamera:
    """The camera that drives the peers, as a source."""

    name, input, live = "camera", "image", True

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    def open(self) -> Opened:
        return Opened("frames in memory")

    def read(self) -> Capture | None:
        captured = self._camera.read()
        return None if captured is None else Capture(*captured)

    def interrupt(self) -> None:
        """It ends by itself."""

    def figures(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        """Nothing is held."""
