"""scout: a tabletop robot with camera, microphone and text. It follows a spoken or signed command and points at the
body that a text names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    ClassesOutput,
    HeatmapOutput,
    ImageInput,
    ImagePrepare,
    InputSync,
    ModelSpec,
    PointOutput,
    Sync,
    TextInput,
    TextPrepare,
)
from mm_edge.zoo.compose import FusionModel
from mm_edge.zoo.encoders import AudioCnn, ImageCnn, TextTransformer
from mm_edge.zoo.fusions import Concatenation
from mm_edge.zoo.heads import ClassesHead, PointHead
from mm_edge.zoo.worlds.tabletop.cache import DatasetSpec, open_world
from mm_edge.zoo.worlds.tabletop.curriculum.batches import ALL_PRESENT, COMMANDS, make_batch
from mm_edge.zoo.worlds.tabletop.drawing.render import SIDE
from mm_edge.zoo.worlds.tabletop.phrases import TEXT_LENGTH, tokenizer_json, vocabulary
from mm_edge.zoo.worlds.tabletop.speech import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from mm_edge.zoo.arrays import Predict
    from mm_edge.zoo.worlds.tabletop.scene import Split

SMALL, SMALL_SOUNDS = 250, 600  # data generated for calibration; a multiple of SMALL pictures

CARD = {
    "takes": "a camera picture, one second of sound, a phrase of up to 16 words",
    "gives": "command: stop, go, left, right, follow, search or none, from a spoken word and/or a sign card; "
    "target: where the body stands that the phrase names, and whether it is there",
    "data": "the procedural world tabletop: rendered scenes, espeak-ng voices, phrases in English",
    "limits": "no scene in training holds a sign and a word that contradict each other: which one wins is undefined",
    "licence": "Apache-2.0, data and weights alike",
}


def spec() -> ModelSpec:
    return ModelSpec(
        name="scout",
        inputs=(
            ImageInput("image", ImagePrepare(size=(SIDE, SIDE), fit="crop")),
            AudioInput("audio", AudioPrepare(sample_rate=SAMPLE_RATE, window=SAMPLE_RATE, hop=SAMPLE_RATE // 10)),
            TextInput("text", TextPrepare(tokenizer="tokenizer.json", length=TEXT_LENGTH)),
        ),
        outputs=(
            ClassesOutput("command", {"logits": "command"}, COMMANDS),
            PointOutput("target", {"point": "target", "score": "target_score"}, input="image"),
            HeatmapOutput("target_map", {"heatmap": "target_heatmap", "score": "target_score"}, input="image"),
        ),
        sync=Sync(
            driver="image",
            inputs={
                "audio": InputSync(max_age_ms=400, missing="mask"),
                "text": InputSync(missing="mask"),
            },
        ),
        presence="presence",
        description="A tabletop robot that follows spoken and signed commands and points at named bodies.",
        card=CARD,
    )


def scout() -> FusionModel:
    encoders = {
        "image": ImageCnn((32, 64, 64), map_width=48, width=64, patches=True),
        "audio": AudioCnn((32, 48, 64), blocks=(4, 2), width=64),
        "text": TextTransformer(len(vocabulary()), TEXT_LENGTH, width=48),
    }
    fusion = Concatenation(encoders, of=("image", "audio"), width=96)
    heads = {
        "command": ClassesHead(fusion.width, len(COMMANDS)),
        "target": PointHead("image", "text", encoders),
    }
    return FusionModel(spec(), encoders, fusion, heads, files={"tokenizer.json": tokenizer_json()})


def labelled(
    split: str, count: int, cache: Path
) -> Iterator[tuple[dict[str, npt.NDArray[np.generic]], dict[str, object]]]:
    """Feeds of batch 1 with their labels: the command's name, the outline of the named body (empty: absent)."""
    where: dict[str, Split] = {"train": "train", "tune": "tune", "test": "held-out"}
    if split not in where:
        raise KeyError(f"unknown split '{split}'; available: {', '.join(where)}")
    order = DatasetSpec(cache, where[split], SMALL * -(-count // SMALL), SMALL_SOUNDS, voices_at_most=8)
    world = open_world(order)
    taught = make_batch(world, np.arange(count), (1, 17), mix=ALL_PRESENT)
    for row in range(count):
        feed = {name: value[row : row + 1] for name, value in taught.feeds.items()}
        yield feed, {"command": COMMANDS[taught.command[row]], "target": taught.hulls[row].tolist()}


def examine(predict: Predict, cache: Path, samples: int) -> dict[str, float]:
    from mm_edge.zoo.worlds.tabletop.curriculum.evaluation import examine as held_out
    from mm_edge.zoo.worlds.tabletop.curriculum.evaluation import examine_foreign

    return held_out(predict, cache, samples=samples) | examine_foreign(predict)
