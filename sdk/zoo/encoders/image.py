"""Image encoders. Pictures are uint8 [batch, height, width, 3]; casting and normalization are part of the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Conv, Layer, Residual
from .encoder import Encoder, Features

ATTENTIONS = 2  # attention maps of the embedding


def as_planes(picture: Tensor) -> Tensor:
    """uint8 [batch, height, width, 3] as float [batch, 3, height, width] in -1..1; TensorRT needs the cast first."""
    return picture.to(torch.float32).permute(0, 3, 1, 2) * (1 / 127.5) - 1.0


def pooled(x: Tensor) -> Tensor:
    """Mean and maximum over the plane, concatenated."""
    return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


class ImageCnn(Encoder):
    """A small network with two scales: 1/8 and 1/16 of the side.

    Coarse features are upsampled and added to the fine ones, so the map, at 1/8 of the side, encodes shapes and not
    only colours. The embedding is an attention-weighted mean of the map. `patches`: the first convolution has a kernel
    of 7 and a stride of 4; the compute saved at half resolution pays for wider layers where shapes are classified.
    """

    def __init__(
        self,
        stages: tuple[int, int, int] = (16, 24, 56),
        *,
        map_width: int = 48,
        width: int = 64,
        blocks: int = 1,
        patches: bool = False,
    ) -> None:
        super().__init__()
        first, second, third = stages
        self.map_width, self.width = map_width, width
        if patches:
            self.fine = nn.Sequential(
                Conv(3, first, kernel=7, stride=4), Conv(first, second, stride=2), Residual(second)
            )
        else:
            self.fine = nn.Sequential(
                Conv(3, first, stride=2), Conv(first, second, stride=2), Residual(second), Conv(second, third, stride=2)
            )
        seen = second if patches else third
        self.coarse = nn.Sequential(Conv(seen, third, stride=2), *(Residual(third) for _ in range(blocks)))
        self.across = Conv(seen, map_width, kernel=1, act=False)
        self.up = Conv(third, map_width, kernel=1, act=False)
        self.join = Conv(map_width, map_width)
        self.attend = nn.Conv2d(map_width, ATTENTIONS, 1)
        self.to_embedding = nn.Linear(ATTENTIONS * map_width, width)

    def look(self, x: Tensor) -> Tensor:
        """The feature map."""
        fine = self.fine(as_planes(x))
        whole = nn.functional.interpolate(self.up(self.coarse(fine)), scale_factor=2.0, mode="nearest")
        plane: Tensor = self.join(torch.relu(self.across(fine) + whole))
        return plane

    def gist(self, plane: Tensor) -> Tensor:
        """The embedding: the attention-weighted mean of the map."""
        weights = self.attend(plane).flatten(2).softmax(2)
        return torch.relu(self.to_embedding((weights @ plane.flatten(2).transpose(1, 2)).flatten(1)))

    def forward(self, x: Tensor) -> Features:
        plane = self.look(x)
        return {"embedding": self.gist(plane), "map": plane}


class ImageResNet(Encoder):
    """ResNet with basic blocks: (2, 2, 2, 2) at `first` 64 is ResNet-18. The map is at one 32nd of the side."""

    def __init__(self, blocks: tuple[int, ...] = (2, 2, 2, 2), *, first: int = 64, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = [Conv(3, first, kernel=7, stride=2), nn.MaxPool2d(3, 2, 1)]
        inside = first
        for stage, count in enumerate(blocks):
            outside = first * 2**stage
            for block in range(count):
                layers.append(Residual(inside, outside, stride=2 if stage and not block else 1))
                inside = outside
        self.body = nn.Sequential(*layers)
        self.map_width, self.width = inside, width
        self.to_embedding = nn.Linear(inside, width)

    def forward(self, x: Tensor) -> Features:
        y = self.body(as_planes(x))
        return {"embedding": self.to_embedding(y.mean((2, 3))), "map": y}


class ImageViT(Encoder):
    """Vision transformer: patches as tokens, learned positions, the mean of all tokens as the embedding."""

    def __init__(self, side: int = 160, *, patch: int = 16, width: int = 96, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.grid = side // patch
        self.width = self.token_width = self.map_width = width
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.places = nn.Parameter(torch.randn(1, self.grid**2, width) * 0.02)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Features:
        tokens = self.patches(as_planes(x)).flatten(2).transpose(1, 2) + self.places
        tokens = self.last(self.layers(tokens))
        plane = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return {"embedding": tokens.mean(1), "tokens": tokens, "map": plane}
