"""CLAP: a sound and several texts, and how well each text fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mm_edge.errors import UsageError
from mm_edge.front_ends.sound import LogMel
from mm_edge.spec import (
    PROMPTS,
    AudioInput,
    AudioPrepare,
    Bounds,
    EmbeddingOutput,
    InputSync,
    ModelSpec,
    SimilarityOutput,
    Sync,
)

from .front_end_proof import prove_sound
from .picture_and_text import MOST_PROMPTS, USUAL_PROMPTS
from .pretrained import finish, load_model, load_pretrained, text_input

if TYPE_CHECKING:
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe

HOPS_A_WINDOW = 10
USUAL_TEXT_LENGTH = 77  # what CLAP was trained with


class SoundAndText(nn.Module):
    """The model with its processor's arithmetic before it."""

    def __init__(self, model: nn.Module, mel: LogMel) -> None:
        super().__init__()
        self.model, self.mel = model, mel

    def forward(self, audio: torch.Tensor, text: torch.Tensor, text_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        result = self.model(input_ids=text, attention_mask=text_mask, input_features=self.mel(audio)[:, None])
        return {
            "similarity": result.logits_per_audio,
            "audio_embedding": result.audio_embeds,
            "text_embedding": result.text_embeds,
        }


def load(name: str, config: Any, recipe: Recipe) -> SourceModel:
    from transformers import AutoFeatureExtractor, AutoModel, AutoTokenizer

    if config.audio_config.enable_fusion:
        raise UsageError(
            "it fuses random crops of long sounds, which depends on chance and on the length",
            action=f"reading hf:{name}",
            hint="Take an unfused CLAP (clap-htsat-unfused)",
        )
    model = load_model(AutoModel, name, recipe)
    tokenizer = load_pretrained(AutoTokenizer, name, recipe)
    extractor = load_pretrained(AutoFeatureExtractor, name, recipe)
    window = int(extractor.nb_max_samples)
    length = min(USUAL_TEXT_LENGTH, int(config.text_config.max_position_embeddings) - 2)
    spec = ModelSpec(
        name="clap",
        inputs=(
            AudioInput("audio", AudioPrepare(int(extractor.sampling_rate), window, window // HOPS_A_WINDOW)),
            text_input(tokenizer, length, mask=True, prompts=MOST_PROMPTS),
        ),
        outputs=(
            SimilarityOutput("similarity", {"scores": "similarity"}, "text"),
            EmbeddingOutput("audio_embedding", {"values": "audio_embedding"}),
            EmbeddingOutput("text_embedding", {"values": "text_embedding"}),
        ),
        sync=Sync("audio", {"text": InputSync(missing="hold")}),
        dims={PROMPTS: Bounds(1, USUAL_PROMPTS, MOST_PROMPTS)},
        description="clap: how well each text fits the sound",
    )
    mel = LogMel(extractor.mel_filters_slaney, int(extractor.fft_window_size), int(extractor.hop_length), "dB")
    prove_sound(mel, extractor, window, f"verifying the audio preprocessing of hf:{name}")
    return finish(SoundAndText(model, mel), spec, name, tokenizer)
