"""The course of the audio encoder: the command from sound alone, augmented on band energies, which is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from mm_edge.zoo.encoders.audio import LogMel
from mm_edge.zoo.worlds.tabletop.cache import NONE

from .batches import AUDIO
from .fusion_course import command_of

if TYPE_CHECKING:
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders import AudioCnn, ImageCnn
    from mm_edge.zoo.worlds.tabletop.cache import World

SMOOTHING = 0.03
AT_A_TIME = 500  # sounds
QUIETEST = 1e-7  # keeps the logarithm of silence finite; far below the floor of the encoder
# Augmentation limits to either side: the logarithms of speed and pitch, and the time shift.
SPEED, PITCH, LATER = 0.15, 0.10, 0.10
NOISY, NOISE_DB = 0.4, (0.0, 25.0)  # share of the sounds mixed with another one, and how far below
LOUDNESS = (0.1, 1.0)
MASKED_BANDS, MASKED_FRAMES = 9, 14  # at most


class Bands:
    """A world's sounds as log band energies, in half precision: [sounds, bands, frames]."""

    def __init__(self, world: World, front: LogMel) -> None:
        self.words = torch.from_numpy(np.array(world.words, np.int64))
        parts = []
        with torch.inference_mode():
            for start in range(0, len(self.words), AT_A_TIME):
                sounds = np.array(world.sounds[start : start + AT_A_TIME], np.float32) / 32768
                parts.append(torch.log(front.energies(torch.from_numpy(sounds)) + QUIETEST).half())
        self.levels = torch.cat(parts).clone()  # an inference tensor cannot be used in training
        self.noises = torch.nonzero(self.words == NONE)[:, 0]

    def plain(self, rows: Tensor) -> Tensor:
        """As the encoder takes them: [rows, bands, frames]."""
        return LogMel.levels(self.levels[rows].float().exp())

    def varied(self, rows: Tensor, chance: torch.Generator) -> Tensor:
        """Augmented: speed, pitch, another sound mixed in, and masked bands and frames."""
        count = len(rows)

        def between(low: float, high: float) -> Tensor:
            return torch.rand(count, generator=chance) * (high - low) + low

        turn = torch.zeros(count, 2, 3)
        turn[:, 0, 0], turn[:, 1, 1] = between(-SPEED, SPEED).exp(), between(-PITCH, PITCH).exp()
        turn[:, 0, 2], turn[:, 1, 2] = between(-LATER, LATER), between(-PITCH, PITCH) / 2
        levels = self.levels[rows].float()[:, None]
        grid = affine_grid(turn, list(levels.shape), align_corners=False)
        energies = grid_sample(levels, grid, padding_mode="border", align_corners=False)[:, 0].exp()
        others = self.noises[torch.randint(len(self.noises), (count,), generator=chance)]
        beneath = self.levels[others].float().exp()
        scale = energies.mean((1, 2)) / beneath.mean((1, 2)) * 10 ** (-between(*NOISE_DB) / 10)
        scale = scale * (torch.rand(count, generator=chance) < NOISY)
        loud = between(*LOUDNESS) ** 2
        heard = LogMel.levels((energies + beneath * scale[:, None, None]) * loud[:, None, None])
        bands, frames = heard.shape[1:]
        kept = _outside(bands, between(0, bands), between(0, MASKED_BANDS))[:, :, None]
        return heard * kept * _outside(frames, between(0, frames), between(0, MASKED_FRAMES))[:, None, :]


def _outside(size: int, first: Tensor, many: Tensor) -> Tensor:
    """False in one stretch of each row: [count, size]."""
    places = torch.arange(size)[None]
    return (places < first[:, None]) | (places >= (first + many)[:, None])


class AudioCourse:
    """Trains the audio encoder on the command alone."""

    main = "command_without_picture"

    def __init__(self, bands: Bands, tune: Bands) -> None:
        self.bands, self.tune = bands, tune

    def tutor(self, _model: FusionModel) -> nn.Module:
        return nn.Identity()

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        many = len(self.bands.words)
        a_round = many // size
        order = np.random.default_rng((seed, 3, step // a_round)).permutation(many)
        rows = torch.from_numpy(np.sort(order[(step % a_round) * size :][:size]))
        chance = torch.Generator().manual_seed(int(np.random.default_rng((seed, 5, step)).integers(2**62)))
        return {"levels": self.bands.varied(rows, chance), "word": self.bands.words[rows]}

    def loss(self, model: FusionModel, _tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        answer = _command_of_audio(model, batch["levels"])
        right = (answer.detach().argmax(1) == batch["word"]).float().mean()
        return cross_entropy(answer, batch["word"], label_smoothing=SMOOTHING), {"heard": float(right)}

    def examine(self, model: FusionModel) -> dict[str, float]:
        model.eval()
        with torch.inference_mode():
            rows = torch.arange(len(self.tune.words)).split(AT_A_TIME)  # type: ignore[no-untyped-call]  # torch's
            answers = torch.cat([_command_of_audio(model, self.tune.plain(some)).argmax(1) for some in rows])
        return {self.main: float((answers == self.tune.words).float().mean())}


def _command_of_audio(model: FusionModel, levels: Tensor) -> Tensor:
    audio = cast("AudioCnn", model.encoders["audio"]).hear(levels)
    presence = torch.zeros(len(levels), len(model.order))
    presence[:, AUDIO] = 1
    unseen = torch.zeros(len(levels), cast("ImageCnn", model.encoders["image"]).width)
    return command_of(model, unseen, audio, presence)
