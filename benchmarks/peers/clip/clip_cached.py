"""CLIP in torch with cached text embeddings: each frame runs the image tower only."""

from __future__ import annotations

from typing import Any

import torch

from . import clip_eager


class Peer(clip_eager.Peer):
    """Compares normalized embeddings, as the whole model does."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._tower = self._made_ready(self._model.get_image_features)
        with torch.inference_mode():
            self._texts = _direction(self._model.get_text_features(**self.words()))

    def label(self, frame: Any) -> int:
        with torch.inference_mode():
            seen = _direction(self._tower(**self.picture(frame)))
            return int((seen @ self._texts.T).argmax())

    def _made_ready(self, tower: Any) -> Any:
        return tower


def _direction(features: Any) -> Any:
    pooled = features.pooler_output
    return pooled / pooled.norm(dim=-1, keepdim=True)
