"""How the world tabletop is taught: by eye, by ear, and then what to make of both."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from mm_edge.zoo.training.recipe import Stage
from mm_edge.zoo.worlds.tabletop.cache import Order, open_world

from .deciding import Deciding, Known
from .hearing import Bands, Hearing
from .lessons import ALL_THERE, AUDIO, BELIEVED, COMMANDS, IMAGE, Lessons, Mix, lessons
from .measure import command_accuracy, confusion, target_figures
from .seeing import Look, Seeing, taught, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mm_edge.zoo.arrays import Ints
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders import AudioCnn
    from mm_edge.zoo.heads import PointHead
    from mm_edge.zoo.training.course import Course, Predict, Told
    from mm_edge.zoo.training.loop import Plan
    from mm_edge.zoo.worlds.tabletop.cache import World

DATA_SEED = 1
WANTED = {"inside": 0.90, "absent": 0.95}  # shares of what is there, and of what is not
SEEN_BY = ("encoders.image", "encoders.text", "gates.image", "gates.text", "heads.target")
AT_A_TIME = 250  # pictures or sounds
KNOWN = (12_000, 24_000)  # pictures and sounds at most, from which the last stage learns
EXAM_PICTURES = 600
WHOLE = Look(until=0, side=None, pieces=1, phrases=1)
ONLY = {"image": replace(BELIEVED, no_audio=1.0, no_image=0.0), "audio": replace(BELIEVED, no_audio=0.0, no_image=1.0)}


class Size(NamedTuple):
    """How much of the world is made, how long it is taught, and how often the last lesson has seen each thing."""

    pictures: int
    sounds: int
    tune_pictures: int
    tune_sounds: int
    voices_at_most: int | None
    takes: int
    hearing: Plan
    seeing: Plan
    looks: tuple[Look, ...]
    deciding: Plan


class Tabletop:
    """The school."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._known: tuple[Known, Known] | None = None
        self._bands: tuple[Bands, Bands] | None = None

    def prepare(self, cache: Path, *, told: Told | None = None) -> None:
        size = self.size
        train = Order(cache, "train", size.pictures, size.sounds, DATA_SEED, voices_at_most=size.voices_at_most)
        tune = replace(train, split="tune", pictures=size.tune_pictures, sounds=size.tune_sounds)
        self.world, self.tune = open_world(train, told=told), open_world(tune, told=told)

    def stages(self) -> tuple[Stage, ...]:
        return (
            Stage("seeing", self._seeing, self.size.seeing, SEEN_BY),
            Stage("hearing", self._hearing, self.size.hearing, ("encoders.audio",)),
            Stage("deciding", partial(self._deciding, BELIEVED), self.size.deciding),
        )

    def rivals(self) -> dict[str, Stage]:
        """Models of one input alone, in the place of the last stage: their encoder has learned as much as scout's."""
        return {name: Stage(name, partial(self._deciding, mix), self.size.deciding) for name, mix in ONLY.items()}

    def _hearing(self, model: FusionModel) -> Course:
        return Hearing(*self._heard(model))

    def _heard(self, model: FusionModel) -> tuple[Bands, Bands]:
        """Of the world and of the tuning set; the front end has no weights that change, so they are made once."""
        if self._bands is None:
            front = cast("AudioCnn", model.encoders["audio"]).front
            self._bands = (Bands(self.world, front), Bands(self.tune, front))
        return self._bands

    def _seeing(self, _model: FusionModel) -> Course:
        return Seeing(self.world, self.tune, self.size.looks)

    def _deciding(self, mix: Mix, model: FusionModel) -> Course:
        if self._known is None:  # the rivals and the model share encoders: what those give is taken down once
            bands, tune = self._heard(model)
            self._known = (known(self.world, bands, model, self.size.takes), known(self.tune, tune, model, 0))
        return Deciding(*self._known, mix)

    def examine(self, predict: Predict) -> dict[str, float]:
        """The tuning set with all inputs, without sound, without picture."""
        asked = self._exam(EXAM_PICTURES)
        outputs = predict(asked.feeds)
        figures = {"command": command_accuracy(outputs, asked.command), **target_figures(outputs, asked)}
        for name, column, truth in (
            ("command_without_sound", AUDIO, asked.sign),
            ("command_without_picture", IMAGE, asked.word),
        ):
            presence = asked.feeds["presence"].copy()
            presence[:, column] = 0
            figures[name] = command_accuracy(predict({**asked.feeds, "presence": presence}), truth)
        return figures

    def settle(self, model: FusionModel, predict: Predict) -> dict[str, float]:
        """Shifts the score so that, on the tuning set, what is there and what is not are told equally well, each by
        its WANTED share.
        """
        asked = self._exam(len(self.tune.pictures))
        outputs = {name: np.asarray(value) for name, value in predict(asked.feeds).items()}
        shifts = np.linspace(-4, 4, 161)
        told = [target_figures({**outputs, "target_score": outputs["target_score"] + shift}, asked) for shift in shifts]
        worse = [min(one[f"target_{name}"] / share for name, share in WANTED.items()) for one in told]
        shift = float(shifts[int(np.argmax(worse))])
        cast("PointHead", model.heads["target"]).shift_score(shift)
        return {"score_shift": shift, "pictures": float(len(self.tune.pictures))}

    def _exam(self, most: int) -> Lessons:
        return lessons(self.tune, np.arange(min(most, len(self.tune.pictures))), (DATA_SEED, 11), mix=ALL_THERE)

    def confusion(self, predict: Predict) -> tuple[Ints, tuple[str, ...]]:
        asked = self._exam(EXAM_PICTURES)
        return confusion(predict(asked.feeds), asked.command), COMMANDS

    def record(self) -> dict[str, Any]:
        made = {"pictures": len(self.world.pictures), "sounds": len(self.world.sounds)}
        return {"world": "tabletop", "seed": DATA_SEED, **made, "digest": self.world.digest()}


def known(world: World, bands: Bands, model: FusionModel, takes: int) -> Known:
    """What the encoders give for a world, varied in so many takes; as it is where `takes` is 0."""
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
    by_eye, by_ear = (torch.stack([torch.cat(some) for some in kind]).clone() for kind in (seen, heard))
    sign = torch.from_numpy(np.array(world.signs[:pictures], np.int64))
    return Known(by_eye, sign, by_ear, bands.words[:sounds])


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
