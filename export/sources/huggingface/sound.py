"""Whisper's encoder and Wav2Vec2: a window of sound becomes a sequence of embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mm_edge.front_ends.sound import LogMel, UnitVariance, WhisperMel
from mm_edge.spec import AudioInput, AudioPrepare, EmbeddingOutput, ModelSpec, Sync

from .front_end_proof import prove_sound
from .pretrained import finish, load_model, load_pretrained

if TYPE_CHECKING:
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe

WAV2VEC2_WINDOW_S = 2
HOPS_A_WINDOW = 10


class SoundEncoder(nn.Module):
    """The encoder with its processor's arithmetic before it."""

    def __init__(self, front_end: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.front_end, self.encoder = front_end, encoder

    def forward(self, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"embedding": self.encoder(self.front_end(audio)).last_hidden_state}


def load(name: str, config: Any, recipe: Recipe) -> SourceModel:
    from transformers import AutoFeatureExtractor, AutoModel

    extractor = load_pretrained(AutoFeatureExtractor, name, recipe)
    model = load_model(AutoModel, name, recipe)
    rate = int(extractor.sampling_rate)
    if config.model_type == "whisper":
        window = int(extractor.n_samples)
        front_end: nn.Module = WhisperMel(whisper_mel(extractor))
        encoder: nn.Module = model.get_encoder()  # type: ignore[operator]  # a method of the library's models
    else:
        window = WAV2VEC2_WINDOW_S * rate
        front_end = UnitVariance() if extractor.do_normalize else nn.Identity()
        encoder = model
    spec = ModelSpec(
        name=config.model_type,
        inputs=(AudioInput("audio", AudioPrepare(rate, window, window // HOPS_A_WINDOW)),),
        outputs=(EmbeddingOutput("embedding", {"values": "embedding"}),),
        sync=Sync("audio"),
        description=f"{config.model_type}: embeddings of a window of sound",
    )
    prove_sound(front_end, extractor, window, f"verifying the audio preprocessing of hf:{name}")
    return finish(SoundEncoder(front_end, encoder), spec, name)


def whisper_mel(extractor: Any) -> LogMel:
    return LogMel(extractor.mel_filters, int(extractor.n_fft), int(extractor.hop_length), "log10")
