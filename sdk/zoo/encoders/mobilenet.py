"""MobileNetV3 (Howard et al. 2019): inverted residuals with squeeze and excitation and hard swish."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from .encoder import Encoder, Features
from .image import as_planes


class Row(NamedTuple):
    """A row of the paper's table: one block."""

    kernel: int
    expanded: int
    outside: int
    squeeze: bool
    swish: bool
    stride: int

    def scaled(self, scale: float) -> Row:
        return self._replace(expanded=by_eight(self.expanded * scale), outside=by_eight(self.outside * scale))


LARGE = (  # table 1 of the paper
    Row(3, 16, 16, False, False, 1),
    Row(3, 64, 24, False, False, 2),
    Row(3, 72, 24, False, False, 1),
    Row(5, 72, 40, True, False, 2),
    Row(5, 120, 40, True, False, 1),
    Row(5, 120, 40, True, False, 1),
    Row(3, 240, 80, False, True, 2),
    Row(3, 200, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 480, 112, True, True, 1),
    Row(3, 672, 112, True, True, 1),
    Row(5, 672, 160, True, True, 2),
    Row(5, 960, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
)


def by_eight(channels: float) -> int:
    """The nearest multiple of eight that loses at most a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _conv(
    inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = None
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([act()] if act is not None else []))


class _Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = by_eight(channels / 4)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x.mean((2, 3), keepdim=True))
        return y


class _Inverted(nn.Module):
    def __init__(self, inside: int, row: Row) -> None:
        super().__init__()
        act = nn.Hardswish if row.swish else nn.ReLU
        wide = row.expanded
        layers: list[nn.Module] = [_conv(inside, wide, 1, act=act)] if wide != inside else []
        layers.append(_conv(wide, wide, row.kernel, stride=row.stride, groups=wide, act=act))
        if row.squeeze:
            layers.append(_Squeeze(wide))
        layers.append(_conv(wide, row.outside, 1))
        self.body = nn.Sequential(*layers)
        self.around = row.stride == 1 and inside == row.outside

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.around else y


class MobileNetV3(Encoder):
    """The body of MobileNetV3; `classes` adds the paper's classifier, whose logits are then the embedding."""

    def __init__(
        self, rows: tuple[Row, ...] = LARGE, *, scale: float = 1.0, width: int = 128, classes: int | None = None
    ) -> None:
        super().__init__()
        inside = by_eight(16 * scale)
        layers: list[nn.Module] = [_conv(3, inside, 3, stride=2, act=nn.Hardswish)]
        for row in (row.scaled(scale) for row in rows):
            layers.append(_Inverted(inside, row))
            inside = row.outside
        last = 6 * inside
        layers.append(_conv(inside, last, 1, act=nn.Hardswish))
        self.body = nn.Sequential(*layers)
        self.map_width, self.width = last, classes if classes is not None else width
        hidden = by_eight(1280 * max(scale, 1.0))
        self.to_embedding: nn.Module = nn.Linear(last, width)
        if classes is not None:
            self.to_embedding = nn.Sequential(
                nn.Linear(last, hidden), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(hidden, classes)
            )

    def forward(self, x: Tensor) -> Features:
        y = self.body(as_planes(x))
        return {"embedding": self.to_embedding(y.mean((2, 3))), "map": y}


def mobilenet_v3_large(classes: int = 1000) -> MobileNetV3:
    """The network of the paper, 5.48 million parameters at 1000 classes, for pictures of 224 x 224."""
    return MobileNetV3(LARGE, classes=classes)
