"""uint8 pictures as a camera gives them become what a vision model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class Normalize(nn.Module):
    """uint8 [batch, height, width, 3] -> float32 [batch, 3, height, width]: x / scale, minus mean, over deviation.

    Cast comes first: TensorRT takes a uint8 input nowhere else.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], scale: float = 255.0) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32).reshape(1, -1, 1, 1))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        floats = picture.float().permute(0, 3, 1, 2)
        result: torch.Tensor = (floats / self.scale - self.mean) / self.deviation
        return result
