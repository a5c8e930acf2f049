"""Heads: compute the named tensors of an output from the joint embedding or an input's feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from .encoders.blocks import Conv, Perceptron

if TYPE_CHECKING:
    from .encoders.encoder import Encoder, Features


class Fused(NamedTuple):
    """Inputs of a head: the joint embedding and the gated features of every input."""

    joint: Tensor
    features: dict[str, Features]


class Head(nn.Module):
    """`forward` returns tensors by role; the model names them `OUTPUT` (the first role) and `OUTPUT_ROLE`."""

    roles: tuple[str, ...]

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        raise NotImplementedError


class ClassesHead(Head):
    """Logits for single-label classification: [batch, labels]."""

    roles = ("logits",)

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, labels)

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        return {"logits": self.layer(fused.joint)}


class LabelsHead(ClassesHead):
    """Logits for multi-label classification; only loss and decoding differ from ClassesHead."""


class ScoreHead(Head):
    """Plain numbers: [batch, count]."""

    roles = ("values",)

    def __init__(self, width: int, count: int = 1, *, hidden: int = 32) -> None:
        super().__init__()
        self.layers = Perceptron(width, hidden, count)

    def forward(self, fused: Fused) -> dict[str, Tensor]:
        return {"values": self.layers(fused.joint)}


class PointHead(Head):
    """The place in the map of `where` that the embedding of `what` names.

    The map's cells and "nowhere" (whose logit is 0) share one softmax. So the logits of the cells are a heat map, and
    their log-sum-exp is the logit of presence; the point is the mean place, sharpened so that two candidates are not
    averaged.
    """

    roles = ("point", "heatmap", "score")
    SHARPNESS = 3.0

    def __init__(self, where: str, what: str, encoders: dict[str, Encoder], *, side: int = 20, width: int = 48) -> None:
        super().__init__()
        self.where, self.what = where, what
        inside, query = encoders[where].map_width, encoders[what].width
        if inside is None:
            raise ValueError(f"a point head reads a map, and the encoder of '{where}' gives none")
        self.first, self.second = nn.Conv2d(inside, width, 1), nn.Conv2d(width, width, 3, padding=1)
        self.ask_first, self.ask_second = nn.Linear(query, 2 * width), nn.Linear(query, 2 * width)
        self.heat = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.heat.bias, -6.0)  # type: ignore[arg-type]  # this layer has a bias
        middles = (torch.arange(side, dtype=torch.float32) + 0.5) / side
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        self.register_buffer("places", torch.stack([columns.flatten(), rows.flatten()], 1), persistent=False)
        self.places: Tensor

    def look(self, plane: Tensor, query: Tensor) -> Tensor:
        """The heat map for a map of any size: [batch, rows, columns]."""
        x = self._conditioned(self.first(plane), self.ask_first(query))
        x = self._conditioned(self.second(x), self.ask_second(query))
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
        """Adds `by` to the score; all cells change equally, so points do not move."""
        with torch.no_grad():
            self.heat.bias.add_(by)  # type: ignore[union-attr]  # this layer has a bias

    @staticmethod
    def _conditioned(x: Tensor, by: Tensor) -> Tensor:
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
