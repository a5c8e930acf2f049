"""Speed and accuracy of int8 on this CPU for a fusion model of about five million parameters.

python -m mm_edge.benchmarks.studies.export.five_million
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from mm_edge.benchmarks.models.tokenizer import save_tokenizer
from mm_edge.export.pipeline import export
from mm_edge.export.recipe import Recipe
from mm_edge.export.sources.torch_module import from_module
from mm_edge.front_ends.picture import Normalize
from mm_edge.spec import ClassesOutput, ImageInput, ImagePrepare, InputSync, ModelSpec, Sync, TextInput, TextPrepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import SourceModel

RESULTS = Path("benchmarks/results/export_int8_speed.json")
WIDTH, SIZE, WORDS, LENGTH = 256, 128, 64, 16
SAMPLES, UNSEEN, SEED = 32, 8, 0


def has_vnni() -> bool:
    """Whether this CPU has VNNI instructions for int8."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return "avx512_vnni" in flags or "avx_vnni" in flags


def int8_speed() -> dict[str, Any]:
    """Exports the model as one part in int8 for the CPU; time relative to fp32 on one thread, and errors."""
    model = source_model()
    model.samples = samples
    recipe = Recipe(precisions=("int8-cpu",), split="never", samples=SAMPLES, unseen=UNSEEN, threads=1)
    with TemporaryDirectory() as folder:
        exported = export(model, Path(folder) / "model.mmb", recipe)
    (part,) = exported.manifest.parts
    rows = [row for row in exported.manifest.parity if row.scope == "chain" and row.precision == "int8-cpu"]
    fp32, int8 = part.cost.ms["fp32"], part.cost.ms["int8-cpu"]
    return {
        "parameters": part.cost.parameters,
        "fp32_ms": round(fp32, 3),
        "int8_cpu_ms": round(int8, 3),
        "times_faster": round(fp32 / int8, 2),
        "cosine": min(row.cosine for row in rows),
        "relative_error": max(row.relative_error for row in rows),
        "samples": UNSEEN,
        "vnni": has_vnni(),
    }


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class FiveMillion(nn.Module):
    """A convolutional image encoder, token embeddings, and a transformer over both, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        self.see = nn.Sequential(
            block(3, 32, 2), block(32, 64, 2), block(64, 128, 2), block(128, 256, 2), block(256, WIDTH, 1)
        )
        self.words = nn.Embedding(WORDS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 8, 1024, batch_first=True, dropout=0.0, norm_first=True)
        self.mix = nn.TransformerEncoder(layer, 5, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 7)
        with TemporaryDirectory() as folder:
            save_tokenizer(Path(folder))
            self.files = {"tokenizer.json": (Path(folder) / "tokenizer.json").read_bytes()}
        self.spec = ModelSpec(
            name="five_million",
            inputs=(
                ImageInput("image", ImagePrepare((SIZE, SIZE))),
                TextInput("text", TextPrepare("tokenizer.json", LENGTH)),
            ),
            outputs=(ClassesOutput("command", {"logits": "logits"}, tuple("abcdefg")),),
            sync=Sync("image", {"text": InputSync()}),
        )

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self.see(self.pixels(image)).flatten(2).transpose(1, 2)
        tokens = torch.cat([seen, self.words(text)], 1)
        return {"logits": self.head(self.mix(tokens).mean(1))}


def source_model() -> SourceModel:
    torch.manual_seed(SEED)
    module = FiveMillion().eval()
    return from_module(module, module.spec, "five_million")


def samples(count: int) -> Iterator[Feed]:
    """Smooth random colour patches and random tokens."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = torch.from_numpy(random.random((1, 3, 8, 8), dtype=np.float32))
        smooth = nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
        yield {
            "image": (smooth.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8),
            "text": random.integers(2, WORDS, (1, LENGTH)),
        }


if __name__ == "__main__":
    RESULTS.write_text(json.dumps(int8_speed(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
