"""Exports well-known architectures at real size with random weights; records time, memory and errors.

python -m mm_edge.benchmarks.studies.export.real_sizes [NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.benchmarks.models.tokenizer import save_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.export.model import SourceModel

RESULTS = Path("benchmarks/results/export_real_sizes.json")
SAMPLES, UNSEEN = 16, 4
SEED = 0  # of the weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MODELS))
    parser.add_argument("--json", type=Path, default=RESULTS)
    requested = parser.parse_args()
    results = json.loads(requested.json.read_text(encoding="utf-8")) if requested.json.exists() else {}
    for name in requested.names:
        # A process each, so that peak memory is measured separately.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[name] = pool.apply(measure, (name,))
        print(name, json.dumps(results[name], indent=1))
        requested.json.parent.mkdir(parents=True, exist_ok=True)
        requested.json.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def measure(name: str) -> dict[str, Any]:
    import torch

    from mm_edge.export.feeds import random_feed
    from mm_edge.export.pipeline import export, load_source
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.workspace import TerminalProgress

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        source = MODELS[name](Path(folder) / "model")
        recipe = Recipe(samples=SAMPLES, unseen=UNSEEN, threads=len(os.sched_getaffinity(0)), calibrate=None)
        start, cpu = time.perf_counter(), time.process_time()
        traced = 0.0

        def sampled() -> SourceModel:
            """The model, with random samples made from its spec."""
            nonlocal traced
            model = load_source(source, recipe) if isinstance(source, str) else source()
            traced = time.perf_counter() - start
            spec, vocabulary = model.spec, model.vocabulary
            model.samples = lambda count: [random_feed(spec, seed, None, vocabulary) for seed in range(count)]
            return model

        exported = export(sampled, Path(folder) / "model.mmb", recipe, TerminalProgress())
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return {
        "seconds": round(seconds, 1),
        "seconds_to_trace": round(traced, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "cores": len(os.sched_getaffinity(0)),
        "load_at_end": round(os.getloadavg()[0], 1),
        "machine": platform.processor() or platform.machine(),
        "parts": {
            part.name: {
                "nodes": len(part.graph.graph.node),
                "parameters": part.parameters,
                "operations": part.flops,
                "saved_when_only_this_changes": round(
                    exported.split.saved_when_only(part.name.removeprefix("encode_")), 3
                ),
            }
            for part in exported.split.parts
        },
        "crossing_bytes": exported.split.crossing_bytes,
        "bundle_bytes": exported.size,
        "candidates": [
            {
                "part": item.part,
                "precision": item.precision,
                "relative_error": item.loss,
                "ms": item.ms,
                "fp32_ms": item.fp32_ms,
                "kept_fp32": len(item.kept),
                "trials": item.trials,
                "note": item.left_out,
            }
            for item in exported.candidates
        ],
        "parity": [
            {
                "precision": row.precision,
                "tensor": row.tensor,
                "relative_error": row.relative_error,
                "cosine": row.cosine,
                "agreement": row.agreement,
            }
            for row in exported.manifest.parity
            if row.scope == "chain"
        ],
        "notes": list(exported.notes),
    }


def clip(folder: Path) -> str:
    """CLIP ViT-B/32."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    save_tokenizer(folder)
    return f"hf:{folder}"


def clap(folder: Path) -> str:
    """CLAP with the unfused HTSAT encoder."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    ClapModel(ClapConfig()).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    save_tokenizer(folder)
    return f"hf:{folder}"


def vilt(folder: Path) -> str:
    """ViLT-B/32 for visual question answering."""
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessor

    config: Any = ViltConfig
    ViltForQuestionAnswering(config(num_labels=3129)).save_pretrained(folder)
    ViltImageProcessor().save_pretrained(folder)
    save_tokenizer(folder)
    return f"hf:{folder}"


def whisper_fusion(folder: Path) -> Callable[[], Any]:
    """Whisper-tiny's encoder, CLIP's text and image encoders, and a transformer over all three."""
    import torch
    from torch import nn
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPVisionConfig,
        CLIPVisionModel,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperModel,
    )

    from mm_edge.export.sources.huggingface.sound import whisper_mel
    from mm_edge.export.sources.torch_module import from_module
    from mm_edge.front_ends.picture import Normalize
    from mm_edge.front_ends.sound import WhisperMel
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

    folder.mkdir(parents=True)
    save_tokenizer(folder)

    class Robot(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            extractor = WhisperFeatureExtractor()
            tiny = WhisperConfig(
                d_model=384,
                encoder_layers=4,
                decoder_layers=1,
                encoder_attention_heads=6,
                decoder_attention_heads=6,
                encoder_ffn_dim=1536,
                decoder_ffn_dim=384,
            )
            self.mel, self.hear = WhisperMel(whisper_mel(extractor)), WhisperModel(tiny).get_encoder()
            self.pixels = Normalize((0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
            self.see, self.read = CLIPVisionModel(CLIPVisionConfig()), CLIPTextModel(CLIPTextConfig())
            self.sizes = nn.ModuleList([nn.Linear(384, 512), nn.Linear(768, 512), nn.Linear(512, 512)])
            self.fuse = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True, dropout=0.0), 2, enable_nested_tensor=False
            )
            self.head = nn.Linear(512, 7)
            self.files = {"tokenizer.json": (folder / "tokenizer.json").read_bytes()}
            self.vocabulary = {"text": 80}
            self.spec = ModelSpec(
                name="robot",
                inputs=(
                    ImageInput("image", ImagePrepare((224, 224))),
                    AudioInput("audio", AudioPrepare(16_000, 480_000, 16_000)),
                    TextInput("text", TextPrepare("tokenizer.json", 16)),
                ),
                outputs=(ClassesOutput("command", {"logits": "logits"}, tuple("abcdefg")),),
                sync=Sync("image", {"audio": InputSync(), "text": InputSync()}),
            )

        def forward(self, image: torch.Tensor, audio: torch.Tensor, text: torch.Tensor) -> dict[str, torch.Tensor]:
            heard = self.hear(self.mel(audio)).last_hidden_state.unflatten(1, (50, 30)).mean(2)
            seen, read = self.see(self.pixels(image)).last_hidden_state, self.read(text).last_hidden_state
            tokens = torch.cat([size(values) for size, values in zip(self.sizes, (heard, seen, read), strict=True)], 1)
            return {"logits": self.head(self.fuse(tokens).mean(1))}

    def made() -> SourceModel:
        module = Robot().eval()
        return from_module(module, module.spec, "whisper_fusion")

    return made


MODELS: dict[str, Callable[[Path], Any]] = {"clip": clip, "clap": clap, "vilt": vilt, "whisper_fusion": whisper_fusion}

if __name__ == "__main__":
    main()
