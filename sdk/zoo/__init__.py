"""The zoo: fusion models in plain torch, composed of encoders, fusions and heads; `scout` ships trained.

import mm_edge.zoo as zoo
model = zoo.load("scout")                       # torch.nn.Module with .spec and .files
for feed in zoo.calibration("scout", 32): ...   # numpy feeds of batch 1, as the graph takes them
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.places import cache_folder

from .catalog import card, entry, is_trained, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from .compose import FusionModel

    Feed = dict[str, npt.NDArray[np.generic]]

__all__ = ["calibration", "card", "entry", "evaluate", "is_trained", "labelled", "load", "names"]


def load(name: str, *, weights: Path | None = None) -> FusionModel:
    """The model in eval mode, with its shipped weights, or with those of a file that `mm-edge train` wrote."""
    from .weights import read_weights

    found = entry(name)
    model = found.build()
    read_weights(model, found.weights if weights is None else weights, name)
    return model.eval()


def calibration(name: str, count: int) -> Iterator[Feed]:
    """Feeds of batch 1 from the training split of the model's world; generated on first use and cached."""
    for feed, _ in labelled(name, "train", count):
        yield feed


def labelled(name: str, split: str, count: int) -> Iterator[tuple[Feed, dict[str, object]]]:
    """Feeds of batch 1 with labels by output name. `split`: train, tune or test (held out)."""
    found: Iterator[tuple[Feed, dict[str, object]]] = entry(name).module.labelled(split, count, cache_folder("zoo"))
    return found


def evaluate(
    name: str,
    predict: Callable[[Mapping[str, npt.NDArray[np.generic]]], Mapping[str, npt.NDArray[np.generic]]],
    *,
    samples: int = 3000,
) -> dict[str, float]:
    """The held-out metrics of any implementation of the model: torch, an ONNX file, a bundle in any precision.

    `predict` takes feeds of any batch (image, audio, text, presence) and returns the model's output tensors by name.
    """
    figures: dict[str, float] = entry(name).module.examine(predict, cache_folder("zoo"), samples)
    return figures
