"""The training curriculum of the tabletop world: image encoder, audio encoder, then the fusion of both."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from mm_edge.zoo.training.course import Stage
from mm_edge.zoo.worlds.tabletop.cache import DatasetSpec, open_world

from .audio_course import AudioCourse, Bands
from .batches import ALL_PRESENT, AUDIO, COMMANDS, FUSION_MIX, IMAGE, Batch, Mix, make_batch
from .fusion_course import Embeddings, FusionCourse
from .image_course import CropPlan, ImageCourse, taught, whole
from .metrics import command_accuracy, confusion, target_figures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mm_edge.zoo.arrays import Ints, Predict
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders import AudioCnn
    from mm_edge.zoo.heads import PointHead
    from mm_edge.zoo.training.course import Course, Progress
    from mm_edge.zoo.training.plan import Plan
    from mm_edge.zoo.worlds.tabletop.cache import World

DATA_SEED = 1
WANTED = {"inside": 0.90, "absent": 0.95}  # target shares for present and for absent bodies
IMAGE_STAGE_PARTS = ("encoders.image", "encoders.text", "gates.image", "gates.text", "heads.target")
AT_A_TIME = 250  # pictures or sounds
KNOWN = (12_000, 24_000)  # pictures and sounds at most in the last stage
EVALUATION_PICTURES = 600
WHOLE = CropPlan(until=0, side=None, pieces=1, phrases=1)
ONLY = {
    "image": replace(FUSION_MIX, no_audio=1.0, no_image=0.0),
    "audio": replace(FUSION_MIX, no_audio=0.0, no_image=1.0),
}


class Size(NamedTuple):
    """How much data is generated, how long each stage trains, and the augmented takes of the last stage."""

    pictures: int
    sounds: int
    tune_pictures: int
    tune_sounds: int
    voices_at_most: int | None
    takes: int
    audio: Plan
    image: Plan
    crop_plans: tuple[CropPlan, ...]
    fusion: Plan


class TabletopCurriculum:
    """Two encoder stages and a fusion stage."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._known: tuple[Embeddings, Embeddings] | None = None
        self._bands: tuple[Bands, Bands] | None = None

    def prepare(self, cache: Path, *, progress: Progress | None = None) -> None:
        size = self.size
        train = DatasetSpec(cache, "train", size.pictures, size.sounds, DATA_SEED, voices_at_most=size.voices_at_most)
        tune = replace(train, split="tune", pictures=size.tune_pictures, sounds=size.tune_sounds)
        self.world, self.tune = open_world(train, progress=progress), open_world(tune, progress=progress)

    def stages(self) -> tuple[Stage, ...]:
        return (
            Stage("image_encoder", self._image_course, self.size.image, IMAGE_STAGE_PARTS),
            Stage("audio_encoder", self._audio_course, self.size.audio, ("encoders.audio",)),
            Stage("fusion", partial(self._fusion_course, FUSION_MIX), self.size.fusion),
        )

    def baselines(self) -> dict[str, Stage]:
        """Single-modality models in place of the last stage, with encoders trained exactly as scout's."""
        return {
            name: Stage(f"{name}_only", partial(self._fusion_course, mix), self.size.fusion)
            for name, mix in ONLY.items()
        }

    def _audio_course(self, model: FusionModel) -> Course:
        return AudioCourse(*self._heard(model))

    def _heard(self, model: FusionModel) -> tuple[Bands, Bands]:
        """For the world and the tuning set; computed once, as the front end has no trainable weights."""
        if self._bands is None:
            front = cast("AudioCnn", model.encoders["audio"]).front
            self._bands = (Bands(self.world, front), Bands(self.tune, front))
        return self._bands

    def _image_course(self, _model: FusionModel) -> Course:
        return ImageCourse(self.world, self.tune, self.size.crop_plans)

    def _fusion_course(self, mix: Mix, model: FusionModel) -> Course:
        if self._known is None:  # the baselines share the encoders: their outputs are recorded once
            bands, tune = self._heard(model)
            self._known = (known(self.world, bands, model, self.size.takes), known(self.tune, tune, model, 0))
        return FusionCourse(*self._known, mix)

    def examine(self, predict: Predict) -> dict[str, float]:
        """The tuning set with all inputs, without sound, without picture."""
        batch = self._evaluation_batch(EVALUATION_PICTURES)
        outputs = predict(batch.feeds)
        figures = {"command": command_accuracy(outputs, batch.command), **target_figures(outputs, batch)}
        for name, column, truth in (
            ("command_without_sound", AUDIO, batch.sign),
            ("command_without_picture", IMAGE, batch.word),
        ):
            presence = batch.feeds["presence"].copy()
            presence[:, column] = 0
            figures[name] = command_accuracy(predict({**batch.feeds, "presence": presence}), truth)
        return figures

    def calibrate(self, model: FusionModel, predict: Predict) -> dict[str, float]:
        """Shifts the score so that, on the tuning set, present and absent bodies reach their WANTED shares equally
        well.
        """
        batch = self._evaluation_batch(len(self.tune.pictures))
        outputs = {name: np.asarray(value) for name, value in predict(batch.feeds).items()}
        shifts = np.linspace(-4, 4, 161)
        figures = [
            target_figures({**outputs, "target_score": outputs["target_score"] + shift}, batch) for shift in shifts
        ]
        worse = [min(one[f"target_{name}"] / share for name, share in WANTED.items()) for one in figures]
        shift = float(shifts[int(np.argmax(worse))])
        cast("PointHead", model.heads["target"]).shift_score(shift)
        return {"score_shift": shift, "pictures": float(len(self.tune.pictures))}

    def _evaluation_batch(self, most: int) -> Batch:
        return make_batch(self.tune, np.arange(min(most, len(self.tune.pictures))), (DATA_SEED, 11), mix=ALL_PRESENT)

    def confusion(self, predict: Predict) -> tuple[Ints, tuple[str, ...]]:
        batch = self._evaluation_batch(EVALUATION_PICTURES)
        return confusion(predict(batch.feeds), batch.command), COMMANDS

    def record(self) -> dict[str, Any]:
        made = {"pictures": len(self.world.pictures), "sounds": len(self.world.sounds)}
        return {"world": "tabletop", "seed": DATA_SEED, **made, "digest": self.world.digest()}


def known(world: World, bands: Bands, model: FusionModel, takes: int) -> Embeddings:
    """Encoder outputs for a world in this many augmented takes; without augmentation if `takes` is 0."""
    model.eval()
    image, audio = model.encoders["image"], cast("AudioCnn", model.encoders["audio"])
    pictures, sounds = (
        min(count, most) for count, most in zip((len(world.signs), len(bands.words)), KNOWN, strict=True)
    )
    with torch.inference_mode():
        seen = [
            [image(shown)["embedding"] for shown in _shown(world, pictures, take, takes)]
            for take in range(max(takes, 1))
        ]
        heard = [[audio.hear(levels) for levels in _heard(bands, sounds, take, takes)] for take in range(max(takes, 1))]
    image_embeddings, audio_embeddings = (
        torch.stack([torch.cat(some) for some in kind]).clone() for kind in (seen, heard)
    )
    sign = torch.from_numpy(np.array(world.signs[:pictures], np.int64))
    return Embeddings(image_embeddings, sign, audio_embeddings, bands.words[:sounds])


def _shown(world: World, count: int, take: int, takes: int) -> Iterator[torch.Tensor]:
    for start in range(0, count, AT_A_TIME):
        numbers = np.arange(start, min(start + AT_A_TIME, count))
        if takes:
            yield taught(world, np.random.default_rng((DATA_SEED, 17, take, start)), numbers, WHOLE)["image"]
        else:
            yield torch.from_numpy(whole(world, numbers).pictures)


def _heard(bands: Bands, count: int, take: int, takes: int) -> Iterator[torch.Tensor]:
    chance = torch.Generator().manual_seed(DATA_SEED * 1000 + take)
    for rows in torch.arange(count).split(AT_A_TIME):  # type: ignore[no-untyped-call]  # torch's
        yield bands.varied(rows, chance) if takes else bands.plain(rows)
