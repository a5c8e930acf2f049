"""How the world tabletop is taught: joint losses, and a tutor that asks the image encoder what stands in every cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mm_edge.zoo.training.loop import class_weights

from .cache import Order, open_world
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
    from mm_edge.zoo.encoders.image import ImageCnn
    from mm_edge.zoo.heads import PointHead
    from mm_edge.zoo.training.course import Predict, Told


DATA_SEED = 1
SMOOTHING = 0.03
EXAM_PICTURES = 600
WANTED = {"inside": 0.90, "absent": 0.95}  # shares of what is there, and of what is not
MORE_PHRASES = 2  # for every picture: they cost a seventh of it each and teach as much about pointing


class Size(NamedTuple):
    """How much of the world is made."""

    pictures: int
    sounds: int
    tune_pictures: int
    tune_sounds: int
    voices_at_most: int | None
    close_steps: int  # so many steps at the beginning look at pieces of pictures only


FULL = Size(24_000, 48_000, 1500, 3000, None, 3600)
FURTHER = FULL._replace(close_steps=1100)
QUICK = Size(1500, 3000, 300, 800, 10, 300)


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
        self.weights = class_weights(torch.tensor([11.7] * 6 + [30.0]), strength=0.25)

    def prepare(self, cache: Path, *, quick: bool, told: Told | None = None) -> None:
        self.size = size = QUICK if quick else self.size
        train = Order(cache, "train", size.pictures, size.sounds, DATA_SEED, voices_at_most=size.voices_at_most)
        tune = replace(train, split="tune", pictures=size.tune_pictures, sounds=size.tune_sounds)
        self.world, self.tune = open_world(train, told=told), open_world(tune, told=told)

    def tutor(self, model: FusionModel) -> Tutor:
        image, audio = model.encoders["image"], model.encoders["audio"]
        return Tutor(int(image.width), int(audio.width), int(image.map_width))  # type: ignore[arg-type]  # modules of a ModuleDict

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        close = self.first_close and step < self.size.close_steps
        a_round = len(self.world.pictures) // size
        order = np.random.default_rng((seed, 3, step // a_round)).permutation(len(self.world.pictures))
        numbers = np.sort(order[(step % a_round) * size :][:size])  # sorted, so that the disk is read forward
        return _tensors(
            lessons(self.world, numbers, (seed, 5, step), mix=self.mix, augment=True, close=close, more=MORE_PHRASES)
        )

    def loss(self, model: FusionModel, tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        named = cast("Tutor", tutor)
        if self.mix.no_image >= 1:
            return self._by_ear(model, named, batch)
        features = model.encode(*(batch[name] for name in model.order))
        fused = model.fuse(features, batch["presence"])
        answer = model.heads["command"](fused)["logits"]
        command = cross_entropy(answer, batch["command"], self.weights, label_smoothing=SMOOTHING)
        gated, head = fused.features, cast("PointHead", model.heads["target"])
        target = _placing(head, gated["image"]["map"], gated["text"]["embedding"], batch["cells"])
        further = model.encoders["text"](batch["more_text"].flatten(0, 1))["embedding"]
        plane = features["image"]["map"].repeat_interleave(MORE_PHRASES, 0)
        target = target + MORE_PHRASES * _placing(head, plane, further, batch["more_cells"].flatten(0, 1))
        total = command + 0.35 * target
        total = total + cross_entropy(named.sign(features["image"]["embedding"]), batch["sign"], self.weights)
        total = total + cross_entropy(named.word(features["audio"]["embedding"]), batch["word"], self.weights)
        total = total + named.regions(features["image"]["map"], batch)
        total = total + 0.3 * _attention(cast("ImageCnn", model.encoders["image"]), features["image"]["map"], batch)
        right = (answer.detach().argmax(1) == batch["command"]).float().mean()
        return total, {
            "command": float(right),
            "command_loss": float(command.detach()),
            "target_loss": float(target.detach()) / (1 + MORE_PHRASES),
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

    def settle(self, model: FusionModel, predict: Predict) -> dict[str, float]:
        """Shifts the score so that, on the whole tuning set, what is there and what is not are told equally well,
        each by its WANTED share.
        """
        taught = self._exam(len(self.tune.pictures))
        outputs = {name: np.asarray(value) for name, value in predict(taught.feeds).items()}
        shifts = np.linspace(-4, 4, 161)
        told = [
            target_figures({**outputs, "target_score": outputs["target_score"] + shift}, taught) for shift in shifts
        ]
        worse = [min(one[f"target_{name}"] / share for name, share in WANTED.items()) for one in told]
        shift = float(shifts[int(np.argmax(worse))])
        cast("PointHead", model.heads["target"]).shift_score(shift)
        return {"score_shift": shift, "pictures": float(len(self.tune.pictures))}

    def _exam(self, most: int = EXAM_PICTURES) -> Lessons:
        numbers = np.arange(min(most, len(self.tune.pictures)))
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


def _placing(head: PointHead, plane: Tensor, asked: Tensor, cells: Tensor) -> Tensor:
    """The loss of pointing: the cells of a map of any size and "nowhere", whose logit is 0, share one softmax."""
    heat = head.look(plane, asked).flatten(1)
    return cross_entropy(torch.cat([heat, torch.zeros_like(heat[:, :1])], 1), cells)


def _tensors(taught: Lessons) -> dict[str, Tensor]:
    named = taught.regions
    arrays = {
        **taught.feeds,
        "command": taught.command,
        "sign": taught.sign,
        "word": taught.word,
        "cells": taught.cells,
        "more_text": taught.more_text,
        "more_cells": taught.more_cells,
        "masks": named.masks,
        "shape": named.shape,
        "color": named.color,
        "card": named.sign,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
