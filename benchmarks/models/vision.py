"""MobileNetV3-Large as a single-part bundle: the model of the single-camera benchmarks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .exported import exported

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABELS = 1000
PLACES = 4  # of the disc in the test video, each with a label
RIDGE = 1.0  # of the mean variance; with less, another way of downscaling changes every tenth label


SIDE = 224
HEAVY_SIDE = 1216  # thirty times the pixels, and so thirty times the work


def vision_bundle() -> Path:
    """MobileNetV3-Large, 224 x 224, 1000 classes, exported as one part."""
    return exported("vision", vision_module, split="never")


def heavy_vision_bundle() -> Path:
    """The same network on thirty times the pixels."""
    return exported("heavy-vision", partial(vision_module, HEAVY_SIDE), split="never")


def vision_module(side: int = SIDE) -> Any:
    """The module of `vision_bundle`."""
    import torch
    from torch import nn

    from mm_edge.spec import ClassesOutput, ImageInput, ImagePrepare, ModelSpec, Sync
    from mm_edge.zoo.encoders.mobilenet import MobileNetV3

    class Vision(nn.Module):
        """The paper's network with the front end of every image input."""

        spec = ModelSpec(
            name="vision",
            inputs=(ImageInput(name="image", prepare=ImagePrepare(size=(side, side))),),
            outputs=(
                ClassesOutput(
                    name="label", reads={"logits": "logits"}, labels=tuple(f"class {k}" for k in range(LABELS))
                ),
            ),
            sync=Sync(driver="image"),
        )

        def __init__(self) -> None:
            super().__init__()
            self.network = MobileNetV3(classes=LABELS)

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.network(image)["embedding"]}

    torch.manual_seed(0)
    vision = Vision()
    _fit_last_layer(vision.network)
    return vision.eval()


def _fit_last_layer(network: Any) -> None:
    """Fits the last layer so that the label encodes the place of the disc in the test video. With seeded weights alone
    every picture gets the same label, and equal answers of two programs would prove nothing.

    Batch statistics come from the video's own pictures, whole and cropped; the last layer is fitted by ridge regression
    over several ways of downscaling them.
    """
    import cv2
    import numpy as np
    import torch
    from torch import nn

    from mm_edge.benchmarks.bench.frames import POOL, frames, square

    def shrunk(cut: Callable[[Any], Any], interpolation: int, quality: int) -> Any:
        made = []
        for frame in frames(POOL):
            packed = cv2.imencode(".jpg", cut(frame), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            unpacked: Any = cv2.imdecode(packed, cv2.IMREAD_COLOR)
            small = cv2.resize(unpacked, (224, 224), interpolation=interpolation)
            made.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        return torch.from_numpy(np.stack(made))

    cuts: tuple[Callable[[Any], Any], ...] = (square, lambda frame: frame)
    hows = (cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC)
    ways = [shrunk(cut, how, quality) for cut in cuts for how in hows for quality in (95, 75)]
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative mean
    last, seen = network.to_embedding[-1], []
    watch = last.register_forward_pre_hook(lambda _layer, given: seen.append(given[0].double()))
    with torch.no_grad():
        network.train()(torch.cat((ways[0], ways[len(ways) // 2])))
        network.eval()
        seen.clear()
        for way in ways:
            network(way)
        watch.remove()
        features = torch.cat(seen)
        numbers = torch.arange(POOL).repeat(len(ways)) // (POOL // PLACES) * (LABELS // PLACES)
        wanted = nn.functional.one_hot(numbers, LABELS).double()
        centred = features - features.mean(0)
        inner = centred @ centred.T
        inner += RIDGE * inner.diagonal().mean() * torch.eye(len(inner))
        weights = centred.T @ torch.linalg.solve(inner, wanted - wanted.mean(0))
        last.weight.copy_(weights.T)
        last.bias.copy_(wanted.mean(0) - features.mean(0) @ weights)
