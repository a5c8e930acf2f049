"""A model with three encoders of similar cost, for image, audio and text, and a small fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .exported import exported

if TYPE_CHECKING:
    from pathlib import Path


def multimodal_bundle() -> Path:
    """The exported model, one part for each encoder and one for the fusion."""
    return exported("multimodal", _multimodal, split="auto")


def _multimodal() -> Any:
    import torch

    from mm_edge.spec import (
        AudioInput,
        AudioPrepare,
        ClassesOutput,
        ImageInput,
        ImagePrepare,
        InputSync,
        ModelSpec,
        Sync,
        TextInput,
        TextPrepare,
    )
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders import AudioCnn, ImageCnn, TextTransformer
    from mm_edge.zoo.fusions import Concatenation
    from mm_edge.zoo.heads import ClassesHead, Head
    from mm_edge.zoo.worlds.tabletop.phrases import TEXT_LENGTH, tokenizer_json, vocabulary

    torch.manual_seed(0)
    spec = ModelSpec(
        name="multimodal",
        inputs=(
            ImageInput(name="image", prepare=ImagePrepare(size=(160, 160))),
            AudioInput(name="audio", prepare=AudioPrepare(sample_rate=16_000, window=16_000, hop=1_600)),
            TextInput(name="text", prepare=TextPrepare(tokenizer="tokenizer.json", length=TEXT_LENGTH)),
        ),
        outputs=(ClassesOutput(name="command", reads={"logits": "command"}, labels=tuple("abcdefg")),),
        sync=Sync(
            driver="image",
            inputs={"audio": InputSync(max_age_ms=400, missing="mask"), "text": InputSync(missing="mask")},
        ),
        presence="presence",
    )
    encoders = {
        "image": ImageCnn((24, 48, 96)),
        "audio": AudioCnn((32, 64, 96)),
        "text": TextTransformer(len(vocabulary()), TEXT_LENGTH, width=384, layers=6, heads=8),
    }
    fusion = Concatenation(encoders, of=("image", "audio", "text"), width=96)
    heads: dict[str, Head] = {"command": ClassesHead(fusion.width, 7)}
    return FusionModel(spec, encoders, fusion, heads, files={"tokenizer.json": tokenizer_json()}).eval()
