"""Heads: read the joint embedding, or one input's map, and give the named tensors of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from .blocks import Conv, Perceptron

if TYPE_CHECKING:
    from .encoders.encoder import Encoder, Features


class Fused(NamedTuple):
    """What a head may read: the joint embedding and the gated features of every input."""

    joint: Tensor
    features: dict[str, Features]


class Head(nn.Module):
    """`forward` gives tensors by role; the model names them `OUTPUT` (the first role) and `OUTPUT_ROLE`."""

    roles: tuple[str, ...]

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        raise NotImplementedError


class ClassesHead(Head):
    """Logits of one label among several: [batch, labels]."""

    roles = ("logits",)

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, labels)

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        return {"logits": self.layer(fused.joint)}


class LabelsHead(ClassesHead):
    """Logits of labels of which any may hold; what tells it from classes is the loss and the decoding."""


class ScoreHead(Head):
    """Plain numbers: [batch, count]."""

    roles = ("values",)

    def __init__(self, width: int, count: int = 1, *, hidden: int = 32) -> None:
        super().__init__()
        self.layers = Perceptron(width, hidden, count)

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        return {"values": self.layers(fused.joint)}


class PointHead(Head):
    """The place in `where`'s map of what `what` asks for.

    The map's cells and "nowhere" (whose logit is 0) share one softmax. So the logits of the cells are a heat map, their
    log-sum-exp is the logit of "it is there"; the point is the mean place, sharpened lest two candidates be averaged.
    """

    roles = ("point", "heatmap", "score")
    SHARPNESS = 3.0

    def __init__(self, where: str, what: str, encoders: dict[str, Encoder], *, side: int = 20, width: int = 48) -> None:
        super().__init__()
        self.where, self.what = where, what
        inside, asked = encoders[where].map_width, encoders[what].width
        if inside is None:
            raise ValueError(f"a point head reads a map, and the encoder of '{where}' gives none")
        self.first, self.second = nn.Conv2d(inside, width, 1), nn.Conv2d(width, width, 3, padding=1)
        self.ask_first, self.ask_second = nn.Linear(asked, 2 * width), nn.Linear(asked, 2 * width)
        self.heat = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.heat.bias, -6.0)  # type: ignore[arg-type]  # this layer has a bias
        middles = (torch.arange(side, dtype=torch.float32) + 0.5) / side
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        self.register_buffer("places", torch.stack([columns.flatten(), rows.flatten()], 1), persistent=False)
        self.places: Tensor

    def look(self, plane: Tensor, asked: Tensor) -> Tensor:
        """The heat map for a map of any size: [batch, rows, columns]."""
        x = self._asked(self.first(plane), self.ask_first(asked))
        x = self._asked(self.second(x), self.ask_second(asked))
        heat: Tensor = self.heat(x)[:, 0]
        return heat

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        heat = self.look(fused.features[self.where]["map"], fused.features[self.what]["embedding"])
        cells = heat.flatten(1)
        point = (self.SHARPNESS * cells).softmax(1) @ self.places
        highest = cells.amax(1, keepdim=True)
        score = highest + (cells - highest).exp().sum(1, keepdim=True).log()
        return {"point": point, "heatmap": heat, "score": score}

    def shift_score(self, by: float) -> None:
        """Raises the score by this much; all cells rise alike, so that no point moves."""
        with torch.no_grad():
            self.heat.bias.add_(by)  # type: ignore[union-attr]  # this layer has a bias

    @staticmethod
    def _asked(x: Tensor, by: Tensor) -> Tensor:
        scale, shift = by[:, :, None, None].chunk(2, 1)
        return torch.relu(x * (1 + scale) + shift)


class BoxesHead(Head):
    """A box for each cell of `where`'s map: corners in 0..1 [batch, cells, 4], and scores [batch, cells, labels]."""

    roles = ("boxes", "scores")

    def __init__(self, where: str, encoders: dict[str, Encoder], labels: int, *, side: int, width: int = 48) -> None:
        super().__init__()
        inside = encoders[where].map_width
        if inside is None:
            raise ValueError(f"a boxes head reads a map, and the encoder of '{where}' gives none")
        self.where, self.side = where, side
        self.body = Conv(inside, width)
        self.box, self.label = nn.Conv2d(width, 4, 1), nn.Conv2d(width, labels, 1)
        nn.init.constant_(self.label.bias, -4.0)  # type: ignore[arg-type]  # this layer has a bias
        middles = (torch.arange(side, dtype=torch.float32) + 0.5) / side
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        self.register_buffer("places", torch.stack([columns.flatten(), rows.flatten()], 1)[None], persistent=False)
        self.places: Tensor

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        x = self.body(fused.features[self.where]["map"])
        reach = nn.functional.softplus(self.box(x).flatten(2).transpose(1, 2)) / self.side
        boxes = torch.cat([self.places - reach[:, :, :2], self.places + reach[:, :, 2:]], 2)
        return {"boxes": boxes, "scores": self.label(x).flatten(2).transpose(1, 2).sigmoid()}
