"""mm-edge in its default configuration: a file at full speed, and live from the simulated camera."""

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

AHEAD = 64  # results in the queue of the reader


class Peer:
    """`model` is a bundle with the same ONNX graph."""

    def __init__(self, model: str) -> None:
        self.bundle = Bundle.open(model)

    def inputs(self, frame: Any) -> dict[str, Any]:
        return {"image": frame}

    def other_sources(self) -> list[Any]:
        return []

    def number(self, prediction: Prediction) -> int:
        label: Any = prediction.outputs["label"]
        return int(label["label"].split()[1])

    def label(self, frame: Any) -> int:
        with closing(Predictor.load(self.bundle, RunConfig())) as predictor:
            return self.number(predictor.predict(self.inputs(frame)))

    def offline(self, video: str, answers: Answers) -> None:
        sink = CallbackSink(lambda prediction: answers(prediction.seq, self.number(prediction)))
        source: Any = open_source(video, self.bundle.manifest.input("image"), RunConfig().sources, PlayClock("max"))
        with Run(self.bundle, RunConfig(), [source, *self.other_sources()], [sink], in_step=True) as session:
            session.wait()
        session.raise_error()

    def live(self, camera: Camera, answers: Answers) -> None:
        session = Run(self.bundle, RunConfig(), [SimulatedCamera(camera), *self.other_sources()], [])
        with session.tap(AHEAD) as tap, session:
            while (item := tap.wait_take()) is not None:
                if isinstance(item, Prediction):
                    answers(item.t_ns, self.number(item))
        session.raise_error()


class CallbackSink(NullSink):
    """Passes each prediction to a function."""

    def __init__(self, on_prediction: Callable[[Prediction], None]) -> None:
        self._on_prediction = on_prediction

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self._on_prediction(item)


class SimulatedCamera:
    """The simulated camera of all peers, as a source."""

    name, input, live = "camera", "image", True

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    def open(self) -> Opened:
        return Opened("frames in memory")

    def read(self) -> Capture | None:
        captured = self._camera.read()
        return None if captured is None else Capture(*captured)

    def interrupt(self) -> None:
        """The camera ends by itself."""

    def figures(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        """There is nothing to release."""
