"""The models that the benchmarks run: real architectures from the zoo with seeded weights, exported by the project's
own exporter.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mm-edge" / "benchmarks"
LABELS = 1000
PLACES = 4  # of the disc in the film, as many answers
RIDGE = 1.0  # of the mean variance: with less, another way to shrink changes every tenth answer
IN_USE_S = 3600  # a run that began before the code changed may still need what it was given


def vision_bundle() -> Path:
    """MobileNetV3-Large, 224 x 224, 1000 classes, as one part: what people run on one camera."""
    return _exported("vision", vision_module, split="never")


def senses_bundle() -> Path:
    """Three encoders of about the same cost and a small fusion: picture, sound and text."""
    return _exported("senses", _senses, split="auto")


def _exported(name: str, make: Callable[[], Any], split: Literal["auto", "never"]) -> Path:
    """Made once for each state of what it is made from, and kept."""
    import mm_edge
    from mm_edge import export, zoo
    from mm_edge.benchmarks.bench import frames

    folders = [
        Path(__file__),
        Path(frames.__file__),
        *sorted(Path(zoo.__file__).parent.rglob("*.py")),
        *sorted(Path(export.__file__).parent.rglob("*.py")),
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in folders)).hexdigest()[:12]
    path = CACHE / f"{name}-{mm_edge.__version__}-{digest}.mmb"
    if not path.exists():
        from mm_edge.export.pipeline import export as export_bundle
        from mm_edge.export.recipe import Recipe
        from mm_edge.export.sources.torch_module import from_module

        module = make()
        export_bundle(
            from_module(module, module.spec, f"benchmarks.models:{name}"),
            path,
            Recipe(split=split, precisions=("fp32",)),
        )
    path.touch()
    forget_older(f"{name}-*.mmb", path)
    return path


def forget_older(pattern: str, newest: Path) -> None:
    """Removes what earlier states of the code have left in the cache, but for what another run may be using."""
    for path in CACHE.glob(pattern):
        if path == newest or newest.stat().st_mtime - path.stat().st_mtime < IN_USE_S:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def vision_module() -> Any:
    """The module that `vision_bundle` is made of."""
    import torch
    from torch import nn

    from mm_edge.spec import ClassesOutput, ImageInput, ImagePrepare, ModelSpec, Sync
    from mm_edge.zoo.encoders.mobilenet import MobileNetV3

    class Vision(nn.Module):
        """The paper's network behind the front end that every image input has."""

        spec = ModelSpec(
            name="vision",
            inputs=(ImageInput(name="image", prepare=ImagePrepare(size=(224, 224))),),
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
    _teach_where(vision.network)
    return vision.eval()


def _teach_where(network: Any) -> None:
    """Lets it answer where the disc of the film is: with seeded weights alone every picture gets the same answer, and
    that two programs answer alike would tell nothing.

    Statistics from the film's own pictures, whole and its middle, then its last layer by ridge regression, over several
    ways to shrink them.
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
            layer.momentum = None  # the plain mean
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


def _senses() -> Any:
    import torch

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
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders import AudioCnn, ImageCnn, TextTransformer
    from mm_edge.zoo.fusions import Concatenation
    from mm_edge.zoo.heads import ClassesHead, Head
    from mm_edge.zoo.worlds.tabletop.phrases import TEXT_LENGTH, tokenizer_json, vocabulary

    torch.manual_seed(0)
    spec = ModelSpec(
        name="senses",
        inputs=(
            ImageInput(name="image", prepare=ImagePrepare(size=(160, 160))),
            AudioInput(name="audio", prepare=AudioPrepare(sample_rate=16_000, window=16_000, hop=1_600)),
            TextInput(name="text", prepare=TextPrepare(tokenizer="tokenizer.json", length=TEXT_LENGTH)),
        ),
        outputs=(ClassesOutput(name="command", reads={"logits": "command"}, labels=tuple("abcdefg")),),
        sync=Sync(
            driver="image",
            inputs={"audio": InputSync(max_age_ms=400, missing="mask"), "text": InputSync(missing="mask")},
        ),
        presence="presence",
    )
    encoders = {
        "image": ImageCnn((24, 48, 96)),
        "audio": AudioCnn((32, 64, 96)),
        "text": TextTransformer(len(vocabulary()), TEXT_LENGTH, width=384, layers=6, heads=8),
    }
    fusion = Concatenation(encoders, of=("image", "audio", "text"), width=96)
    heads: dict[str, Head] = {"command": ClassesHead(fusion.width, 7)}
    return FusionModel(spec, encoders, fusion, heads, files={"tokenizer.json": tokenizer_json()}).eval()
