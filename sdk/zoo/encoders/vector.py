"""Vector encoder: sensor values, normalized by training statistics, through a perceptron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Perceptron
from .encoder import Encoder, Features


class VectorMlp(Encoder):
    """Batch normalization learns each value's scale; a perceptron follows."""

    def __init__(self, size: int, *, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.width = width
        self.scale = nn.BatchNorm1d(size)
        self.layers = Perceptron(size, hidden, width)

    def forward(self, x: Tensor) -> Features:
        return {"embedding": torch.relu(self.layers(self.scale(x)))}
