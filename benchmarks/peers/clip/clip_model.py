"""CLIP with seeded weights, as save_pretrained writes it, and its exported bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mm_edge.benchmarks.bench.frames import POOL, video
from mm_edge.benchmarks.models.exported import CACHE, remove_older

from ..video import frames_of

# Half the depth and width of ViT-B/32, so that two cores run it in real time.
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
    """The folder that peers load, with `bundle.mmb` in it; made once for each state of this file."""
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
    _center_embeddings(model, pictures)
    model.save_pretrained(folder)
    pictures.save_pretrained(folder)
    save_tokenizer(folder)
    export(f"hf:{folder}", folder / "bundle.mmb", Recipe(split="always", precisions=("fp32",)))


def _center_embeddings(model: Any, pictures: Any) -> None:
    """Subtracts the mean image embedding of the video's frames. With seeded weights alone every picture would get the
    same answer, and equal answers of two programs would prove nothing.
    """
    import torch

    path = video(CACHE / f"shapes-square-{POOL}.mp4", POOL, cut_square=True)
    shown = [frame[:, :, ::-1].copy() for frame in frames_of(str(path))]
    with torch.no_grad():
        seen = model.vision_model(**pictures(images=shown, return_tensors="pt")).pooler_output
        model.vision_model.post_layernorm.bias -= seen.mean(0)
