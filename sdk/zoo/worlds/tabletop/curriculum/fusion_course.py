"""The course of the fusion: the command from both embeddings, or from one of them. The encoders are frozen."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mm_edge.zoo.worlds.tabletop.cache import NONE

from .batches import ALL_PRESENT, AUDIO, IMAGE, Mix, presence_of, words_for

if TYPE_CHECKING:
    from mm_edge.zoo.compose import FusionModel

SMOOTHING = 0.02
# Noise as a share of an embedding's spread: embeddings of new pictures and voices are less distinct than those of the
# encoders' own training data, which the fusion learns from.
EMBEDDING_NOISE = {"image": 0.5, "audio": 1.0}
EVALUATION_SEED = 11


class Embeddings(NamedTuple):
    """Recorded encoder outputs for a world: embeddings [takes, number, width] and their labels [number].

    Each take augments the same pictures and sounds differently.
    """

    image: Tensor
    sign: Tensor
    audio: Tensor
    word: Tensor


class FusionCourse:
    """Trains the fusion and the command head. `mix` sets how often an input is missing."""

    main = "command"

    def __init__(self, known: Embeddings, tune: Embeddings, mix: Mix) -> None:
        self.known, self.tune, self.mix = known, tune, mix

    def tutor(self, _model: FusionModel) -> nn.Module:
        return nn.Identity()

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((seed, 7, step))
        batch = _paired(rng, self.known, rng.integers(len(self.known.sign), size=size), self.mix)
        chance = torch.Generator().manual_seed(int(rng.integers(2**62)))
        for name, spread in self._spread.items():
            batch[name] = batch[name] + EMBEDDING_NOISE[name] * spread * torch.randn(
                batch[name].shape, generator=chance
            )
        return batch

    @cached_property
    def _spread(self) -> dict[str, Tensor]:
        both = {"image": self.known.image, "audio": self.known.audio}
        return {name: embeddings.flatten(0, 1).std(0) for name, embeddings in both.items()}

    def loss(self, model: FusionModel, _tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        answer = command_of(model, batch["image"], batch["audio"], batch["presence"])
        right = (answer.detach().argmax(1) == batch["command"]).float().mean()
        return cross_entropy(answer, batch["command"], label_smoothing=SMOOTHING), {"command": float(right)}

    def examine(self, model: FusionModel) -> dict[str, float]:
        model.eval()
        numbers = np.arange(len(self.tune.sign))
        mix = replace(ALL_PRESENT, no_audio=self.mix.no_audio // 1, no_image=self.mix.no_image // 1)
        batch = _paired(np.random.default_rng(EVALUATION_SEED), self.tune, numbers, mix)
        with torch.inference_mode():
            answers = command_of(model, batch["image"], batch["audio"], batch["presence"]).argmax(1)
        return {self.main: float((answers == batch["command"]).float().mean())}


def command_of(model: FusionModel, image: Tensor, audio: Tensor, presence: Tensor) -> Tensor:
    """Logits of the command from embeddings [batch, width]: [batch, commands]."""
    fused = model.fuse({"image": {"embedding": image}, "audio": {"embedding": audio}}, presence)
    logits: Tensor = model.heads["command"](fused)["logits"]
    return logits


def _paired(rng: np.random.Generator, known: Embeddings, numbers: np.ndarray, mix: Mix) -> dict[str, Tensor]:
    """These pictures with a sound each, and the command that follows from the present inputs."""
    sign = known.sign[numbers].numpy()
    word = words_for(rng, sign, mix)
    by_word = [np.flatnonzero(known.word.numpy() == number) for number in range(NONE + 1)]
    sounds = np.array([by_word[which][rng.integers(len(by_word[which]))] for which in word])
    presence = presence_of(rng, len(numbers), mix)
    heard = np.where(presence[:, AUDIO] > 0, word, NONE)
    seen = np.where(presence[:, IMAGE] > 0, sign, NONE)
    return {
        "image": known.image[rng.integers(len(known.image), size=len(numbers)), numbers],
        "audio": known.audio[rng.integers(len(known.audio), size=len(numbers)), sounds],
        "presence": torch.from_numpy(presence),
        "command": torch.from_numpy(np.where(heard != NONE, heard, seen)),
    }
