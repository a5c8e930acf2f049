"""A fusion of about five million parameters: a convolutional encoder, words, a transformer over both."""

from __future__ import annotations

import numpy as np
import torch
from fusion_models import tokenizer_json
from torch import nn

from mm_edge.export.front_ends.picture import Normalize
from mm_edge.export.sources.torch_module import from_module
from mm_edge.spec import ClassesOutput, ImageInput, ImagePrepare, InputSync, ModelSpec, Sync, TextInput, TextPrepare

WIDTH, SIZE = 256, 128


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class FiveMillion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pixels = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        self.see = nn.Sequential(
            block(3, 32, 2), block(32, 64, 2), block(64, 128, 2), block(128, 256, 2), block(256, WIDTH, 1)
        )
        self.words = nn.Embedding(64, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 8, 1024, batch_first=True, dropout=0.0, norm_first=True)
        self.mix = nn.TransformerEncoder(layer, 5, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 7)
        self.files = {"tokenizer.json": tokenizer_json()}
        self.spec = ModelSpec(
            name="five_million",
            inputs=(
                ImageInput("image", ImagePrepare((SIZE, SIZE))),
                TextInput("text", TextPrepare("tokenizer.json", 16)),
            ),
            outputs=(ClassesOutput("command", {"logits": "logits"}, tuple("abcdefg")),),
            sync=Sync("image", {"text": InputSync()}),
        )

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self.see(self.pixels(image)).flatten(2).transpose(1, 2)
        tokens = torch.cat([seen, self.words(text)], 1)
        return {"logits": self.head(self.mix(tokens).mean(1))}


def source_model():
    torch.manual_seed(0)
    module = FiveMillion().eval()
    return from_module(module, module.spec, "made in a test")


def samples(count: int):
    """Soft blotches of colour and random words."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = torch.from_numpy(random.random((1, 3, 8, 8), dtype=np.float32))
        smooth = nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
        yield {
            "image": (smooth.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8),
            "text": random.integers(2, 64, (1, 16)),
        }
