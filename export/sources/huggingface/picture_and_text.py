"""CLIP and SigLIP: a picture and several texts, and how well each text fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mm_edge.front_ends.picture import Normalize
from mm_edge.spec import (
    PROMPTS,
    Bounds,
    EmbeddingOutput,
    ImageInput,
    ImagePrepare,
    InputSync,
    ModelSpec,
    SimilarityOutput,
    Sync,
)

from .front_end_proof import prove_pixels
from .pretrained import finish, load_model, load_pretrained, text_input

if TYPE_CHECKING:
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe

USUAL_PROMPTS, MOST_PROMPTS = 2, 32


class PictureAndText(nn.Module):
    """The model with its processor's arithmetic before it."""

    def __init__(self, model: nn.Module, normalize: Normalize, *, masked: bool) -> None:
        super().__init__()
        self.model, self.normalize, self.masked = model, normalize, masked

    def forward(
        self, image: torch.Tensor, text: torch.Tensor, text_mask: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        mask = {"attention_mask": text_mask} if self.masked else {}
        result = self.model(input_ids=text, pixel_values=self.normalize(image), **mask)
        return {
            "similarity": result.logits_per_image,
            "image_embedding": result.image_embeds,
            "text_embedding": result.text_embeds,
        }


def load(name: str, config: Any, recipe: Recipe) -> SourceModel:
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = load_model(AutoModel, name, recipe)
    tokenizer = load_pretrained(AutoTokenizer, name, recipe)
    processor = load_pretrained(AutoImageProcessor, name, recipe)
    clip = config.model_type == "clip"
    size = int(config.vision_config.image_size)
    image = ImageInput(
        "image", ImagePrepare((size, size), fit="crop" if getattr(processor, "do_center_crop", clip) else "stretch")
    )
    text = text_input(tokenizer, int(config.text_config.max_position_embeddings), mask=clip, prompts=MOST_PROMPTS)
    spec = ModelSpec(
        name=config.model_type,
        inputs=(image, text),
        outputs=(
            SimilarityOutput("similarity", {"scores": "similarity"}, "text", "softmax" if clip else "sigmoid"),
            EmbeddingOutput("image_embedding", {"values": "image_embedding"}),
            EmbeddingOutput("text_embedding", {"values": "text_embedding"}),
        ),
        sync=Sync("image", {"text": InputSync(missing="hold")}),
        dims={PROMPTS: Bounds(1, USUAL_PROMPTS, MOST_PROMPTS)},
        description=f"{config.model_type}: how well each text fits the picture",
    )
    normalize = normalize_of(processor)
    prove_pixels(normalize, processor, (size, size), f"verifying the image preprocessing of hf:{name}")
    return finish(PictureAndText(model, normalize, masked=clip), spec, name, tokenizer)


def normalize_of(processor: Any) -> Normalize:
    """The processor's arithmetic. Its resizing is the input's `prepare`; a disabled step is omitted."""
    scale = 1.0 / processor.rescale_factor if processor.do_rescale else 1.0
    mean, deviation = (processor.image_mean, processor.image_std) if processor.do_normalize else ([0.0] * 3, [1.0] * 3)
    return Normalize(mean, deviation, scale)
