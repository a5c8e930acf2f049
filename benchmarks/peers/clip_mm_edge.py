"""Ours on the same CLIP: the picture in every tick, the texts once for as long as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.runtime.predict import Predictor
from mm_edge.runtime.session import Session
from mm_edge.runtime.sources.text.literal import LiteralText

from .clip_texts import TEXTS
from .mm_edge_loop import DrivenCamera, Kept, film_source, stamps

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH = " | ".join(TEXTS)


class Peer:
    """`model` is the folder with the bundle in it."""

    def __init__(self, model: str) -> None:
        self._bundle = Bundle.open(f"{model}/bundle.mmb")
        self._predictor = Predictor.load(self._bundle, RunConfig())

    def label(self, frame: Any) -> int:
        return _number(self._predictor.predict({"image": frame, "text": BOTH}))

    def offline(self, video: str) -> list[int]:
        kept = Kept()
        sources: list[Any] = [film_source(self._bundle, video), LiteralText("text", BOTH)]
        session = Session(self._bundle, RunConfig(), sources, [kept], in_step=True)
        with session:
            session.wait()
        session.raise_error()
        return [_number(prediction) for prediction in kept.predictions()]

    def live(self, camera: Any) -> Iterator[int]:
        return stamps(Session(self._bundle, RunConfig(), [DrivenCamera(camera), LiteralText("text", BOTH)], []))


def _number(prediction: Any) -> int:
    told = prediction.outputs["similarity"]
    return max(range(len(TEXTS)), key=lambda place: float(told[place]["score"]))
