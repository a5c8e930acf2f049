"""Ours, driven like the others: `run` on a file at full speed, and live on the same camera."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

from mm_edge.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.runtime.predict import Predictor
from mm_edge.runtime.session import Session
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.runtime.source import Capture, Opened
from mm_edge.runtime.sources.play import PlayClock
from mm_edge.runtime.sources.registry import open_source
from mm_edge.sample import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterator


AHEAD = 64  # results that may wait for the one who reads them


class Peer:
    """`model` is the bundle that holds the same ONNX file."""

    def __init__(self, model: str) -> None:
        self._bundle = Bundle.open(model)
        self._predictor = Predictor.load(self._bundle, RunConfig())

    def label(self, frame: Any) -> int:
        return _number(self._predictor.predict({"image": frame}))

    def offline(self, video: str) -> list[int]:
        kept = Kept()
        session = Session(self._bundle, RunConfig(), [film_source(self._bundle, video)], [kept], in_step=True)
        with session:
            session.wait()
        session.raise_error()
        return [_number(prediction) for prediction in kept.predictions()]

    def live(self, camera: Any) -> Iterator[int]:
        return stamps(Session(self._bundle, RunConfig(), [DrivenCamera(camera)], []))


def film_source(bundle: Bundle, video: str) -> Any:
    """A file, at full speed."""
    return open_source(video, bundle.manifest.input("image"), RunConfig().sources, PlayClock("max"))


def stamps(session: Session) -> Iterator[int]:
    """When each of what is answered was captured, as the answers come."""
    with session.tap(AHEAD) as tap, session:
        while (item := tap.wait_take()) is not None:
            if isinstance(item, Prediction):
                yield item.t_ns


class Kept(NullSink):
    """Hands predictions over from the sink's thread."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def take(self, item: Any) -> None:
        if isinstance(item, Prediction):
            self._queue.put(item)
        elif hasattr(item, "predictions"):
            self._queue.put(None)

    def predictions(self) -> Iterator[Any]:
        while (item := self._queue.get()) is not None:
            yield item


class DrivenCamera:
    """The camera that drives the peers, as a source."""

    name, input, live = "camera", "image", True

    def __init__(self, camera: Any) -> None:
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


def _number(prediction: Any) -> int:
    return int(prediction.outputs["label"]["label"].split()[1])
