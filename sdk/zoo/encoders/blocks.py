"""Building blocks of the networks: foldable convolutions, residual blocks, perceptrons, attention."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Conv(nn.Sequential):
    """Convolution, batch normalisation and ReLU; the exporter folds the first two into one."""

    def __init__(
        self, inside: int, outside: int, *, kernel: int = 3, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outside),
        ]
        if act:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Residual(nn.Module):
    """Two convolutions with a skip connection."""

    def __init__(self, inside: int, outside: int | None = None, *, stride: int = 1) -> None:
        super().__init__()
        outside = inside if outside is None else outside
        self.first = Conv(inside, outside, stride=stride)
        self.second = Conv(outside, outside, act=False)
        around = stride != 1 or inside != outside
        self.around: nn.Module = Conv(inside, outside, kernel=1, stride=stride, act=False) if around else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.around(x) + self.second(self.first(x)))
        return y


class Perceptron(nn.Sequential):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for inside, outside in pairwise(widths[:-1]):
            layers += [nn.Linear(inside, outside), nn.ReLU(inplace=True)]
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(widths[-2], widths[-1]))
        super().__init__(*layers)


class Attention(nn.Module):
    """Multi-head attention as plain matrix products, which every exporter and engine supports.

    `keep` [batch, keys] is 1 for keys to attend to; without it, all keys.
    """

    def __init__(self, width: int, heads: int, *, keys: int | None = None) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        keys = width if keys is None else keys
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(keys, width), nn.Linear(keys, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, keep: Tensor | None = None) -> Tensor:
        query = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key = self.key(context).unflatten(2, (self.heads, -1)).permute(0, 2, 3, 1)
        value = self.value(context).unflatten(2, (self.heads, -1)).transpose(1, 2)
        scores = query @ key * self.scale
        if keep is not None:
            scores = scores - (1 - keep)[:, None, None, :] * 1e4  # finite in half precision
        mixed: Tensor = self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return mixed


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, *, wide: int = 2) -> None:
        super().__init__()
        self.before, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.between, self.mix = nn.LayerNorm(width), Perceptron(width, wide * width, width)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        calm = self.before(x)
        x = x + self.attention(calm, calm, keep)
        y: Tensor = x + self.mix(self.between(x))
        return y
