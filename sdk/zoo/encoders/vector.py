"""Vector encoder: numbers of a sensor, scaled by what training saw, through a perceptron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mm_edge.zoo.blocks import Perceptron

from .encoder import Encoder, Features


class VectorMlp(Encoder):
    """Batch normalisation learns each number's scale; a perceptron does the rest."""

    def __init__(self, size: int, *, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.width = width
        self.scale = nn.BatchNorm1d(size)
        self.layers = Perceptron(size, hidden, width)

    def forward(self, x: Tensor) -> Features:
        return {"embedding": torch.relu(self.layers(self.scale(x)))}
