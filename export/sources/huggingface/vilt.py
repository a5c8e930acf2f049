"""ViLT for visual questions: a picture and a question, and an answer out of a fixed list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mm_edge.spec import ClassesOutput, ImageInput, ImagePrepare, InputSync, ModelSpec, Sync

from .front_end_proof import prove_pixels
from .picture_and_text import normalize_of
from .pretrained import finish, load_model, load_pretrained, text_input

if TYPE_CHECKING:
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.front_ends.picture import Normalize


class PictureAndQuestion(nn.Module):
    """ViLT on pictures of one size.

    The original samples patches at random to bring pictures of unlike size to one length. With a full mask that is a
    shuffle, which the transformer does not see; so the patches are taken in order, and their places are computed once.
    """

    places: torch.Tensor

    def __init__(self, model: Any, normalize: Normalize, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.normalize = model, normalize
        embeddings = model.vilt.embeddings
        patch = int(model.config.patch_size)
        side = int(model.config.image_size) // patch
        with torch.inference_mode():
            table = embeddings.position_embeddings[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
            grid = (size[0] // patch, size[1] // patch)
            resized = nn.functional.interpolate(table, size=grid, mode="bilinear", align_corners=True)
            places = torch.cat([embeddings.position_embeddings[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
        self.register_buffer("places", places.clone())

    def forward(self, image: torch.Tensor, text: torch.Tensor, text_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        embeddings: Any = self.model.vilt.embeddings
        patches = embeddings.patch_embeddings(self.normalize(image)).flatten(2).transpose(1, 2)
        first = embeddings.cls_token.expand(patches.shape[0], -1, -1)
        pixels = torch.cat([first, patches], dim=1) + self.places
        all_there = torch.ones(pixels.shape[:2], dtype=text_mask.dtype)
        result = self.model(input_ids=text, attention_mask=text_mask, image_embeds=pixels, pixel_mask=all_there)
        return {"logits": result.logits}


def load(name: str, config: Any, recipe: Recipe) -> SourceModel:
    from transformers import AutoImageProcessor, AutoTokenizer, ViltForQuestionAnswering

    model = load_model(ViltForQuestionAnswering, name, recipe)
    tokenizer = load_pretrained(AutoTokenizer, name, recipe)
    processor = load_pretrained(AutoImageProcessor, name, recipe)
    size = picture_size(int(processor.size["shortest_edge"]), int(config.patch_size))
    spec = ModelSpec(
        name="vilt",
        inputs=(
            ImageInput("image", ImagePrepare(size, fit="crop")),
            text_input(tokenizer, int(config.max_position_embeddings), mask=True, prompts=1),
        ),
        outputs=(
            ClassesOutput(
                "answer",
                {"logits": "logits"},
                tuple(str(config.id2label[number]) for number in range(config.num_labels)),
            ),
        ),
        sync=Sync("image", {"text": InputSync(missing="hold")}),
        description="vilt: an answer to a question about the picture",
    )
    normalize = normalize_of(processor)
    prove_pixels(normalize, processor, size, f"verifying the image preprocessing of hf:{name}")
    return finish(PictureAndQuestion(model, normalize, size), spec, name, tokenizer)


def picture_size(shortest: int, patch: int) -> tuple[int, int]:
    """The processor keeps the shape of a picture; a camera's is 4:3, in whole patches."""
    return shortest, shortest * 4 // 3 // patch * patch
