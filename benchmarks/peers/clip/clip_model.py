"""CLIP from its configuration with seeded weights, as save_pretrained writes it, and the bundle that is made of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mm_edge.benchmarks.bench.frames import POOL, video
from mm_edge.benchmarks.models.exported import CACHE, remove_older

from ..film import frames_of

# Half as deep and half as wide as ViT-B/32, so that two cores keep up with a camera.
VISION = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 6}
TEXT = {
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "eos_token_id": 3,
    "bos_token_id": 2,
    "pad_token_id": 0,
}


def clip_folder() -> Path:
    """What peers load, with `bundle.mmb` beside it; made once for each state of this file."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    folder = CACHE / f"peers-clip-{digest}"
    if not (folder / "bundle.mmb").exists():
        _save(folder)
    folder.touch()
    remove_older("peers-clip-*", folder)
    return folder


def _save(folder: Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    from mm_edge.benchmarks.models.tokenizer import save_tokenizer
    from mm_edge.export.pipeline import export
    from mm_edge.export.recipe import Recipe

    torch.manual_seed(0)
    config: Any = CLIPConfig(text_config=TEXT, vision_config=VISION)
    model, pictures = CLIPModel(config).eval(), CLIPImageProcessor()
    _see_differences(model, pictures)
    model.save_pretrained(folder)
    pictures.save_pretrained(folder)
    save_tokenizer(folder)
    export(f"hf:{folder}", folder / "bundle.mmb", Recipe(split="always", precisions=("fp32",)))


def _see_differences(model: Any, pictures: Any) -> None:
    """Takes what all frames of the film have in common out of the picture's tower: with seeded weights alone one text
    would be the answer to every picture, and that two programs answer alike would tell nothing.
    """
    import torch

    film = video(CACHE / f"shapes-square-{POOL}.mp4", POOL, cut_square=True)
    shown = [frame[:, :, ::-1].copy() for frame in frames_of(str(film))]
    with torch.no_grad():
        seen = model.vision_model(**pictures(images=shown, return_tensors="pt")).pooler_output
        model.vision_model.post_layernorm.bias -= seen.mean(0)
