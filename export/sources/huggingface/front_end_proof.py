"""Compares the preprocessing in the graph with the model's own processor: a wrong mean would go unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from torch import nn

    from mm_edge.export.feeds import Array

TOLERANCE = 1e-3  # of the largest value that the processor returns


def prove_pixels(normalize: nn.Module, processor: Any, size: tuple[int, int], action: str) -> None:
    """On an image that already has the model's size, because the graph does not resize."""
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    options = {"do_resize": False, "do_pad": False, "do_center_crop": False}
    own = processor(picture, return_tensors="np", input_data_format="channels_last", **options)["pixel_values"]
    _prove(normalize, picture[None], np.asarray(own), action)


def prove_sound(front_end: nn.Module, extractor: Any, samples: int, action: str) -> None:
    """On a window of noise over a tone, and one that is nearly silent."""
    generator, time = np.random.default_rng(0), np.arange(samples) / int(extractor.sampling_rate)
    loud = generator.normal(0, 0.1, samples) + 0.3 * np.sin(2 * np.pi * 440 * time)
    sounds = np.stack([loud, generator.normal(0, 1e-4, samples)]).astype(np.float32)
    given = extractor(list(sounds), sampling_rate=int(extractor.sampling_rate), return_tensors="np")
    own = np.asarray(given["input_features"] if "input_features" in given else given["input_values"])
    _prove(front_end, sounds, own.reshape(len(sounds), *own.shape[-2:]) if own.ndim > 2 else own, action)


def _prove(front_end: nn.Module, raw: Array, own: Array, action: str) -> None:
    with torch.inference_mode():
        ours = front_end(torch.from_numpy(raw)).numpy()
    if ours.shape != own.shape:
        found = f"it gives {list(ours.shape)}, the model's own processor {list(own.shape)}"
    else:
        error = float(np.abs(ours - own).max() / np.abs(own).max())
        if error <= TOLERANCE:
            return
        found = f"it differs from the model's own processor by {error:.2g} of the largest number"
    raise WorkFailedError(
        found,
        action=action,
        hint="The processor has a step that is not supported: wrap the model in a factory (docs/exporting.md)",
    )
