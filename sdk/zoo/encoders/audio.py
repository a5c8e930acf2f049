"""Audio encoders. Sound comes as float [batch, samples]; the log-mel front end is a convolution in the graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .blocks import Conv, Layer, Residual
from .encoder import Encoder, Features
from .image import pooled

FLOOR = 1e-5


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def mel_edges(bands: int, low_hz: float, high_hz: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The corners of `bands` triangles that are equally wide in mel: [bands + 2], in hertz."""
    mels = np.linspace(_mel(low_hz), _mel(high_hz), bands + 2)
    return np.asarray(700 * (10 ** (mels / 2595) - 1))


class LogMel(nn.Module):
    """Log energies in mel bands, frames of `window` samples every `hop`: [batch, bands, frames].

    Each band is a pair of filters, cosine and sine, that pass its triangle of the spectrum: a convolution and a square
    replace a Fourier transform and a filter bank, with fewer weights than the transform alone. The mean over the window
    is subtracted, as the gain of a microphone carries no information about the word.
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        *,
        window: int = 256,
        hop: int = 160,
        bands: int = 40,
        low_hz: float = 80,
        high_hz: float = 7600,
    ) -> None:
        super().__init__()
        self.bands, self.hop, self.window = bands, hop, window
        edges = mel_edges(bands, low_hz, high_hz)
        frequency = (
            np.arange(1, 8 * window // 2) * sample_rate / (8 * window)
        )  # eight times the resolution of the window
        time = (np.arange(window) - (window - 1) / 2) / sample_rate
        waves = 2 * np.pi * frequency[:, None] * time[None]
        taper = np.hanning(window + 2)[1:-1]
        filters = []
        for wave in (np.cos(waves), np.sin(waves)):
            for low, middle, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
                triangle = np.clip(
                    np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)), 0, None
                )
                filters.append(taper * (triangle @ wave) / triangle.sum() * 2 / taper.sum())
        kernel = torch.tensor(np.array(filters), dtype=torch.float32)[:, None] * 4
        self.register_buffer("filters", kernel, persistent=False)
        self.filters: Tensor

    def frames(self, samples: int) -> int:
        return (samples - self.window) // self.hop + 1

    def energies(self, sound: Tensor) -> Tensor:
        """Before the logarithm: energies of simultaneous sounds add up."""
        parts = nn.functional.conv1d(sound[:, None], self.filters, stride=self.hop)
        return parts[:, : self.bands] ** 2 + parts[:, self.bands :] ** 2

    @staticmethod
    def levels(energies: Tensor) -> Tensor:
        level = torch.log(energies + FLOOR)
        return (level - level.mean((1, 2), keepdim=True)) * 0.4

    def forward(self, sound: Tensor) -> Tensor:
        return self.levels(self.energies(sound))


class AudioCnn(Encoder):
    """Residual convolutions over bands and frames. `blocks`: residual blocks at the first two resolutions.

    Blocks at the first resolution cost time but few weights, which suits a model that must be small.
    """

    def __init__(
        self,
        stages: tuple[int, int, int] = (16, 32, 48),
        *,
        blocks: tuple[int, int] = (0, 1),
        width: int = 64,
        front: LogMel | None = None,
    ) -> None:
        super().__init__()
        first, second, third = stages
        self.width = width
        self.front = LogMel() if front is None else front
        self.body = nn.Sequential(
            Conv(1, first, stride=2),
            *(Residual(first) for _ in range(blocks[0])),
            Conv(first, second, stride=2),
            *(Residual(second) for _ in range(blocks[1])),
            Conv(second, third, stride=2),
            Conv(third, third),
        )
        self.to_embedding = nn.Linear(2 * third, width)

    def hear(self, levels: Tensor) -> Tensor:
        """The embedding of log-mel frames: [batch, width]."""
        return torch.relu(self.to_embedding(pooled(self.body(levels[:, None]))))

    def forward(self, x: Tensor) -> Features:
        return {"embedding": self.hear(self.front(x))}


class AudioRnn(Encoder):
    """A GRU or LSTM over the frames; the last state is the embedding."""

    def __init__(self, width: int = 96, *, cell: str = "gru", layers: int = 1, front: LogMel | None = None) -> None:
        super().__init__()
        self.width = self.token_width = width
        self.front = LogMel() if front is None else front
        self.steps = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](self.front.bands, width, layers, batch_first=True)

    def forward(self, x: Tensor) -> Features:
        tokens, _ = self.steps(self.front(x).transpose(1, 2))
        return {"embedding": tokens[:, -1], "tokens": tokens}


class AudioTransformer(Encoder):
    """A transformer whose tokens are groups of four frames."""

    def __init__(
        self, samples: int = 16_000, *, width: int = 96, layers: int = 3, heads: int = 4, front: LogMel | None = None
    ) -> None:
        super().__init__()
        self.width = self.token_width = width
        self.front = LogMel() if front is None else front
        self.gather = nn.Conv1d(self.front.bands, width, 4, 4)
        self.places = nn.Parameter(torch.randn(1, self.front.frames(samples) // 4, width) * 0.02)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Features:
        tokens = self.last(self.layers(self.gather(self.front(x)).transpose(1, 2) + self.places))
        return {"embedding": tokens.mean(1), "tokens": tokens}
