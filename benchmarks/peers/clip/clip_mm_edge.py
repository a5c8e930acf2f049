"""CLIP with mm-edge: the image part runs in every tick, the text part once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.bundle.bundle import Bundle
from mm_edge.runtime.sources.text.literal import LiteralText

from ..loops import mm_edge_loop
from .clip_texts import TEXTS

if TYPE_CHECKING:
    from mm_edge.sample import Prediction

BOTH = " | ".join(TEXTS)


class Peer(mm_edge_loop.Peer):
    """`model` is the folder that contains the bundle."""

    def __init__(self, model: str) -> None:
        self.bundle = Bundle.open(f"{model}/bundle.mmb")

    def inputs(self, frame: Any) -> dict[str, Any]:
        return {"image": frame, "text": BOTH}

    def other_sources(self) -> list[Any]:
        return [LiteralText("text", BOTH)]

    def number(self, prediction: Prediction) -> int:
        similarity: Any = prediction.outputs["similarity"]
        return max(range(len(TEXTS)), key=lambda place: float(similarity[place]["score"]))
