"""How the world tabletop is taught: joint losses, and a tutor that asks the image encoder what stands in every cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mm_edge.zoo.heads import Fused
from mm_edge.zoo.training.loop import class_weights

from .cache import Order, open_world
from .close import close_lessons
from .lessons import ALL_THERE, AUDIO, COMMANDS, IMAGE, USUAL, Lessons, Mix, lessons
from .measure import command_accuracy, confusion, target_figures
from .mesh import SHAPES
from .places import OUTSIDE
from .scene import COLORS
from .signs import SIGNS

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.zoo.arrays import Ints
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders.encoder import Features
    from mm_edge.zoo.encoders.image import ImageCnn
    from mm_edge.zoo.training.course import Predict, Told

    from .places import Regions

DATA_SEED = 1
SMOOTHING = 0.03
EXAM_PICTURES = 600
MORE_PHRASES = 2  # for every picture: they cost a seventh of it each and teach as much about pointing


class Size(NamedTuple):
    """How much of the world is made."""

    pictures: int
    sounds: int
    tune_pictures: int
    tune_sounds: int
    voices_at_most: int | None
    close_steps: int  # so many steps at the beginning look at pieces of pictures only
    still_steps: int  # in so many after them the image encoder stays as it is, which takes half the time
    pieces: int = 64  # in each of the close ones


FULL = Size(24_000, 12_000, 1500, 3000, None, 2600, 600)
QUICK = Size(1500, 3000, 300, 800, 10, 200, 60)


class Tutor(nn.Module):
    """Heads for training alone: the sign from the picture, the word from the sound, and what stands in each region."""

    def __init__(self, image_width: int, audio_width: int, map_width: int) -> None:
        super().__init__()
        self.sign, self.word = nn.Linear(image_width, len(COMMANDS)), nn.Linear(audio_width, len(COMMANDS))
        self.shape, self.color = nn.Linear(map_width, len(SHAPES)), nn.Linear(map_width, len(COLORS))
        self.card = nn.Linear(map_width, len(SIGNS))

    def regions(self, plane: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The loss of naming every region from the mean of its cells: [batch, width, rows, columns] and its masks."""
        means = batch["masks"] @ plane.flatten(2).transpose(1, 2)
        bodies, sign = means[:, :-1].flatten(0, 1), means[:, -1]
        asked = (
            (self.shape(bodies), batch["shape"].flatten()),
            (self.color(bodies), batch["color"].flatten()),
            (self.card(sign), batch["card"]),
        )
        # Summed, then divided: a batch without a single sign must not become 0/0.
        losses = [
            cross_entropy(x, y, ignore_index=OUTSIDE, reduction="sum") / max(int((y != OUTSIDE).sum()), 1)
            for x, y in asked
        ]
        return torch.stack(losses).sum()


class Tabletop:
    """The course. `mix` says what is missing how often: for a model of one input alone, the other always."""

    main = "score"

    def __init__(self, mix: Mix = USUAL, size: Size = FULL, *, first_close: bool = True) -> None:
        self.mix, self.size, self.first_close = mix, size, first_close
        self.weights = class_weights(torch.tensor([11.7] * 6 + [30.0]))

    def prepare(self, cache: Path, *, quick: bool, told: Told | None = None) -> None:
        self.size = size = QUICK if quick else self.size
        train = Order(cache, "train", size.pictures, size.sounds, DATA_SEED, voices_at_most=size.voices_at_most)
        tune = replace(train, split="tune", pictures=size.tune_pictures, sounds=size.tune_sounds)
        self.world, self.tune = open_world(train, told=told), open_world(tune, told=told)

    def tutor(self, model: FusionModel) -> Tutor:
        image, audio = model.encoders["image"], model.encoders["audio"]
        return Tutor(int(image.width), int(audio.width), int(image.map_width))  # type: ignore[arg-type]  # modules of a ModuleDict

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        close_steps = self.size.close_steps if self.first_close else 0
        if step < close_steps:
            pieces, named = close_lessons(self.world, self.size.pieces, (seed, 7, step))
            return {"pieces": torch.from_numpy(pieces), **_region_tensors(named)}
        step -= close_steps
        still = self.first_close and step < self.size.still_steps
        a_round = len(self.world.pictures) // size
        order = np.random.default_rng((seed, 3, step // a_round)).permutation(len(self.world.pictures))
        numbers = np.sort(order[(step % a_round) * size :][:size])  # sorted, so that the disk is read forward
        taught = lessons(self.world, numbers, (seed, 5, step), mix=self.mix, augment=True, more=MORE_PHRASES)
        return {**_tensors(taught), **({"still": torch.ones(())} if still else {})}

    def loss(self, model: FusionModel, tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        named = cast("Tutor", tutor)
        if "pieces" in batch:
            total = named.regions(model.encoders["image"](batch["pieces"])["map"], batch)
            return total, {"regions_loss": float(total.detach())}
        if self.mix.no_image >= 1:
            return self._by_ear(model, named, batch)
        features = _still(model, batch) if "still" in batch else model.encode(*(batch[name] for name in model.order))
        outputs = model.decide(model.fuse(features, batch["presence"]))
        command = cross_entropy(outputs["command"], batch["command"], self.weights, label_smoothing=SMOOTHING)
        cells = torch.cat([outputs["target_heatmap"].flatten(1), torch.zeros_like(outputs["target_score"])], 1)
        target = cross_entropy(cells, batch["cells"])
        further = self._further(model, features, batch)
        total = command + 0.35 * target + 0.35 * MORE_PHRASES * further
        total = total + 0.5 * cross_entropy(named.sign(features["image"]["embedding"]), batch["sign"], self.weights)
        total = total + 0.5 * cross_entropy(named.word(features["audio"]["embedding"]), batch["word"], self.weights)
        total = total + named.regions(features["image"]["map"], batch)
        total = total + 0.3 * _attention(cast("ImageCnn", model.encoders["image"]), features["image"]["map"], batch)
        right = (outputs["command"].detach().argmax(1) == batch["command"]).float().mean()
        return total, {
            "command": float(right),
            "command_loss": float(command.detach()),
            "target_loss": float(target.detach()),
        }

    def _by_ear(self, model: FusionModel, tutor: Tutor, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss where there is never a picture: none is encoded."""
        image, count = cast("ImageCnn", model.encoders["image"]), len(batch["audio"])
        nothing = {"embedding": torch.zeros(count, image.width), "map": torch.zeros(count, image.map_width or 0, 1, 1)}
        features = {"image": nothing, **{name: model.encoders[name](batch[name]) for name in ("audio", "text")}}
        fused = model.fuse(features, batch["presence"])
        answer = model.heads["command"](fused)["logits"]
        command = cross_entropy(answer, batch["command"], self.weights, label_smoothing=SMOOTHING)
        word = cross_entropy(tutor.word(features["audio"]["embedding"]), batch["word"], self.weights)
        right = (answer.detach().argmax(1) == batch["command"]).float().mean()
        return command + 0.5 * word, {"command": float(right), "command_loss": float(command.detach())}

    @staticmethod
    def _further(model: FusionModel, features: dict[str, Features], batch: dict[str, Tensor]) -> Tensor:
        """The loss of further phrases, for which the picture is encoded only once."""
        plane = features["image"]["map"].repeat_interleave(MORE_PHRASES, 0)
        asked = model.encoders["text"](batch["more_text"].flatten(0, 1))
        found = model.heads["target"](Fused(asked["embedding"], {"image": {"map": plane}, "text": asked}))
        cells = torch.cat([found["heatmap"].flatten(1), torch.zeros_like(found["score"])], 1)
        return cross_entropy(cells, batch["more_cells"].flatten(0, 1))

    def examine(self, predict: Predict) -> dict[str, float]:
        """The tuning set with all inputs, without sound, without picture; `score` is what is to be high."""
        figures: dict[str, float] = {}
        taught = self._exam()
        outputs = predict(taught.feeds)
        figures["command"] = command_accuracy(outputs, taught.command)
        figures |= target_figures(outputs, taught)
        for name, column, truth in (
            ("command_without_sound", AUDIO, taught.sign),
            ("command_without_picture", IMAGE, taught.word),
        ):
            presence = taught.feeds["presence"].copy()
            presence[:, column] = 0
            figures[name] = command_accuracy(predict({**taught.feeds, "presence": presence}), truth)
        figures["score"] = (figures["command"] + figures["target_inside"] + figures["target_absent"]) / 3
        return figures

    def _exam(self) -> Lessons:
        numbers = np.arange(min(EXAM_PICTURES, len(self.tune.pictures)))
        return lessons(self.tune, numbers, (DATA_SEED, 11), mix=ALL_THERE)

    def confusion(self, predict: Predict) -> tuple[Ints, tuple[str, ...]]:
        taught = self._exam()
        return confusion(predict(taught.feeds), taught.command), COMMANDS

    def record(self) -> dict[str, Any]:
        made = {"pictures": len(self.world.pictures), "sounds": len(self.world.sounds)}
        return {"world": "tabletop", "seed": DATA_SEED, **made, "digest": self.world.digest()}


def _attention(image: ImageCnn, plane: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """The loss of attending elsewhere than to the sign, over the pictures that have one."""
    share = batch["masks"][:, -1]
    away = -(share * image.attend(plane)[:, 0].flatten(1).log_softmax(1)).sum(1)
    mean: Tensor = away.sum() / share.sum().clamp(min=1)
    return mean


def _still(model: FusionModel, batch: dict[str, Tensor]) -> dict[str, Features]:
    """Features of which the image encoder learns nothing but what to attend to for its embedding."""
    image = cast("ImageCnn", model.encoders["image"])
    image.eval()
    with torch.no_grad():
        plane = image.look(batch["image"])
    features = {name: model.encoders[name](batch[name]) for name in model.order if name != "image"}
    return {"image": {"embedding": image.gist(plane), "map": plane}, **features}


def _tensors(taught: Lessons) -> dict[str, Tensor]:
    arrays = {
        **taught.feeds,
        "command": taught.command,
        "sign": taught.sign,
        "word": taught.word,
        "cells": taught.cells,
        "more_text": taught.more_text,
        "more_cells": taught.more_cells,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()} | _region_tensors(taught.regions)


def _region_tensors(named: Regions) -> dict[str, Tensor]:
    arrays = {"masks": named.masks, "shape": named.shape, "color": named.color, "card": named.sign}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
