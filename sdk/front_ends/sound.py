"""Waveforms become log-mel spectrograms, by convolutions alone: no engine has to know a Fourier transform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

Decibels: TypeAlias = Literal["log10", "dB"]


class LogMel(nn.Module):
    """float32 [batch, samples] -> [batch, frames, mels].

    `filters` is [frequencies, mels]. The signal is mirrored at both ends, as librosa and torch do with `center`.
    """

    cosines_and_sines: torch.Tensor
    filters: torch.Tensor

    def __init__(
        self, filters: NDArray[np.floating], fft_size: int, hop: int, unit: Decibels, floor: float = 1e-10
    ) -> None:
        super().__init__()
        self.hop, self.unit, self.floor, self.margin = hop, unit, floor, fft_size // 2
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft_size) / fft_size)
        angles = 2 * np.pi * np.outer(np.arange(fft_size // 2 + 1), np.arange(fft_size)) / fft_size
        kernels = np.concatenate([np.cos(angles) * window, -np.sin(angles) * window])[:, None]
        self.register_buffer("cosines_and_sines", torch.from_numpy(kernels).float())
        self.register_buffer("filters", torch.from_numpy(np.ascontiguousarray(filters)).float())

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        padded = nn.functional.pad(sound[:, None], (self.margin, self.margin), mode="reflect")
        spectrum = nn.functional.conv1d(padded, self.cosines_and_sines, stride=self.hop)
        real, imaginary = spectrum.chunk(2, dim=1)
        power = (real * real + imaginary * imaginary).transpose(1, 2)
        mels = torch.clamp(power @ self.filters, min=self.floor)
        logarithm = torch.log(mels) * float(1 / np.log(10))
        return 10 * logarithm if self.unit == "dB" else logarithm


class WhisperMel(nn.Module):
    """As Whisper: the last frame dropped, eight decades below the loudest kept, shifted: [batch, mels, frames]."""

    def __init__(self, mel: LogMel) -> None:
        super().__init__()
        self.mel = mel

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        mel = self.mel(sound)[:, :-1]
        loudest = mel.amax(dim=(1, 2), keepdim=True)
        shifted: torch.Tensor = (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0
        return shifted.transpose(1, 2)


class UnitVariance(nn.Module):
    """Every window to zero mean and unit variance, as Wav2Vec2's processor does."""

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        centred = sound - sound.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        result: torch.Tensor = centred / torch.sqrt(variance + 1e-7)
        return result
