"""The interface of every encoder: named features and their widths."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor, nn

Features: TypeAlias = dict[str, Tensor]


class Encoder(nn.Module):
    """`forward` takes the input as the graph does and returns `embedding` [batch, width]; if `map_width` is set, also
    `map` [batch, map_width, height, width of the map]; if `token_width` is set, also `tokens` [batch, n, token_width].
    """

    width: int
    map_width: int | None = None
    token_width: int | None = None

    def forward(self, x: Tensor) -> Features:
        raise NotImplementedError
