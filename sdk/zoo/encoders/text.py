"""Text encoders. Text is int64 token ids [batch, length]; id 0 is padding and is masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Layer
from .encoder import Encoder, Features


def _kept(ids: Tensor) -> Tensor:
    return (ids > 0).to(torch.float32)


def _mean_of(tokens: Tensor, keep: Tensor) -> Tensor:
    total = (tokens * keep[:, :, None]).sum(1)
    return total / keep.sum(1, keepdim=True).clamp(min=1.0)


class TextTransformer(Encoder):
    """Token and position embeddings, transformer layers, the mean over the tokens."""

    def __init__(self, words: int, length: int = 16, *, width: int = 48, layers: int = 1, heads: int = 4) -> None:
        super().__init__()
        self.width = self.token_width = width
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(torch.randn(1, length, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Features:
        keep = _kept(x)
        tokens = self.words(x) + self.places
        for layer in self.layers:
            tokens = layer(tokens, keep)
        tokens = self.last(tokens)
        return {"embedding": _mean_of(tokens, keep), "tokens": tokens}


class TextLstm(Encoder):
    """An LSTM over token embeddings; the mean of its states."""

    def __init__(self, words: int, *, width: int = 64, layers: int = 1) -> None:
        super().__init__()
        self.width = self.token_width = width
        self.words = nn.Embedding(words, width)
        self.steps = nn.LSTM(width, width, layers, batch_first=True)

    def forward(self, x: Tensor) -> Features:
        tokens, _ = self.steps(self.words(x))
        return {"embedding": _mean_of(tokens, _kept(x)), "tokens": tokens}
