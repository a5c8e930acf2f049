"""Fusions: combine the embeddings of several inputs; learned values replace missing inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .encoders.blocks import Attention, Layer, Perceptron

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .encoders.encoder import Encoder, Features


class Gate(nn.Module):
    """Replaces the features of a missing input by learned values."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        widths = {"embedding": encoder.width, "map": encoder.map_width, "tokens": encoder.token_width}
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(width)) for name, width in widths.items() if width}
        )

    def forward(self, features: Features, present: Tensor) -> Features:
        """`present` [batch, 1] is 1 or 0."""
        gated = {}
        for name, value in features.items():
            missing = self.missing[name]
            here = present
            if name == "map":
                missing, here = missing[:, None, None], present[:, :, None, None]
            elif name == "tokens":
                here = present[:, :, None]
            gated[name] = missing + here * (value - missing)
        return gated


class Fusion(nn.Module):
    """`forward` takes gated features by input and presence [batch, inputs], and returns the joint embedding
    [batch, width].

    `of` names the fused inputs in the order of the columns of presence.
    """

    def __init__(self, encoders: Mapping[str, Encoder], of: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.of, self.width = of, width
        self.widths = tuple(encoders[name].width for name in of)

    def forward(self, features: dict[str, Features], presence: Tensor) -> Tensor:
        raise NotImplementedError

    def embeddings(self, features: dict[str, Features]) -> list[Tensor]:
        return [features[name]["embedding"] for name in self.of]


class Concatenation(Fusion):
    """All embeddings and their presence, concatenated, through a perceptron."""

    def __init__(self, encoders: Mapping[str, Encoder], of: tuple[str, ...], width: int = 96) -> None:
        super().__init__(encoders, of, width)
        self.mix = Perceptron(sum(self.widths) + len(of), width, width)

    def forward(self, features: dict[str, Features], presence: Tensor) -> Tensor:
        return torch.relu(self.mix(torch.cat([*self.embeddings(features), presence], 1)))


class LearnedWeights(Fusion):
    """A weighted sum: each weight is predicted from the input's own embedding; missing inputs get no weight."""

    def __init__(self, encoders: Mapping[str, Encoder], of: tuple[str, ...], width: int = 96) -> None:
        super().__init__(encoders, of, width)
        self.align = nn.ModuleList(nn.Linear(inside, width) for inside in self.widths)
        self.judge = nn.ModuleList(nn.Linear(inside, 1) for inside in self.widths)

    def forward(self, features: dict[str, Features], presence: Tensor) -> Tensor:
        embeddings = self.embeddings(features)
        values = torch.stack([align(x) for align, x in zip(self.align, embeddings, strict=True)], 1)
        trust = torch.cat([judge(x) for judge, x in zip(self.judge, embeddings, strict=True)], 1)
        weights = (trust - (1 - presence) * 1e4).softmax(1)
        return torch.relu((values * weights[:, :, None]).sum(1))


class CrossAttention(Fusion):
    """The first input is the query, the tokens of the others are the context; an embedding counts as one token."""

    def __init__(
        self, encoders: Mapping[str, Encoder], of: tuple[str, ...], width: int = 96, *, heads: int = 4
    ) -> None:
        super().__init__(encoders, of, width)
        self.align = nn.ModuleList(nn.Linear(encoders[name].token_width or encoders[name].width, width) for name in of)
        self.ask = nn.Linear(self.widths[0], width)
        self.attention = Attention(width, heads)
        self.mix = Perceptron(2 * width, width, width)

    def forward(self, features: dict[str, Features], presence: Tensor) -> Tensor:
        tokens, keep = [], []
        for column, (name, align) in enumerate(zip(self.of, self.align, strict=True)):
            value = features[name].get("tokens")
            value = features[name]["embedding"][:, None] if value is None else value
            tokens.append(align(value))
            keep.append(presence[:, column : column + 1].expand(-1, value.shape[1]))
        query = self.ask(features[self.of[0]]["embedding"])[:, None]
        answer = self.attention(query, torch.cat(tokens, 1), torch.cat(keep, 1))
        return torch.relu(self.mix(torch.cat([query, answer], 2)[:, 0]))


class SharedEncoder(Fusion):
    """One transformer over all inputs: each embedding is a token, and a learned token aggregates them."""

    def __init__(
        self, encoders: Mapping[str, Encoder], of: tuple[str, ...], width: int = 96, *, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__(encoders, of, width)
        self.align = nn.ModuleList(nn.Linear(inside, width) for inside in self.widths)
        self.kind = nn.Parameter(torch.randn(1, len(of), width) * 0.02)
        self.gather = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.last = nn.LayerNorm(width)

    def forward(self, features: dict[str, Features], presence: Tensor) -> Tensor:
        values = torch.stack([align(x) for align, x in zip(self.align, self.embeddings(features), strict=True)], 1)
        x = torch.cat([self.gather.expand(values.shape[0], -1, -1), values + self.kind], 1)
        keep = torch.cat([torch.ones_like(presence[:, :1]), presence], 1)
        for layer in self.layers:
            x = layer(x, keep)
        joint: Tensor = self.last(x)[:, 0]
        return joint
