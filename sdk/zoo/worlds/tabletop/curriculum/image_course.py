"""The course of the image and text encoders: signs, bodies, and the place of the body that a phrase names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mm_edge.zoo.worlds.tabletop.drawing.augmentation import moved, recolored
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.scene import COLORS
from mm_edge.zoo.worlds.tabletop.signs import SIGNS

from .batches import ALL_PRESENT, DEFAULT_MIX, IMAGE, TEXT, make_batch, wording_of
from .crops import Crops, crop
from .fusion_course import command_of
from .metrics import command_accuracy, target_figures
from .queries import ask, bodies_in
from .targets import OUTSIDE, regions, shares

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Ints
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders import AudioCnn
    from mm_edge.zoo.encoders.encoder import Features
    from mm_edge.zoo.encoders.image import ImageCnn
    from mm_edge.zoo.heads import PointHead
    from mm_edge.zoo.worlds.tabletop.cache import World

NO_PICTURE, NO_TEXT = 0.03, 0.04  # of the phrases: the target is then "nowhere"
MOVED_SHARE = RECOLORED_SHARE = 0.6  # of the pictures
SMOOTHING = 0.02
EVALUATION_PICTURES = 600
POINTING, ATTENDING = 1.0, 0.3  # loss weights, relative to naming


class CropPlan(NamedTuple):
    """How pictures are cropped until this step. `side` None: whole pictures; else crops of this size, `pieces` each."""

    until: int
    side: int | None
    pieces: int
    phrases: int  # for each crop or picture


class Tutor(nn.Module):
    """Auxiliary heads for training only: classify each region of the map."""

    def __init__(self, map_width: int) -> None:
        super().__init__()
        self.shape, self.color = nn.Linear(map_width, len(SHAPES)), nn.Linear(map_width, len(COLORS))
        self.card = nn.Linear(map_width, len(SIGNS))

    def forward(self, plane: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The loss of classifying every region from the mean of its cells: [batch, width, rows, columns] and masks."""
        means = batch["masks"] @ plane.flatten(2).transpose(1, 2)
        bodies, sign = means[:, :-1].flatten(0, 1), means[:, -1]
        predictions = (
            (self.shape(bodies), batch["shape"].flatten()),
            (self.color(bodies), batch["color"].flatten()),
            (self.card(sign), batch["card"]),
        )
        # Summed, then divided: a batch without any sign must not become 0/0.
        losses = [
            cross_entropy(x, y, ignore_index=OUTSIDE, reduction="sum") / max(int((y != OUTSIDE).sum()), 1)
            for x, y in predictions
        ]
        return torch.stack(losses).sum()


class ImageCourse:
    """Trains the image and text encoders and the pointing head: on crops first, on whole pictures last."""

    main = "seen"

    def __init__(self, world: World, tune: World, crop_plans: tuple[CropPlan, ...]) -> None:
        self.world, self.tune, self.crop_plans = world, tune, crop_plans

    def tutor(self, model: FusionModel) -> nn.Module:
        return Tutor(int(model.encoders["image"].map_width))  # type: ignore[arg-type]  # a module of a ModuleDict

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        step = min(step, self.crop_plans[-1].until - 1)  # the loop prefetches one batch
        a_round = len(self.world.pictures) // size
        order = np.random.default_rng((seed, 3, step // a_round)).permutation(len(self.world.pictures))
        numbers = np.sort(order[(step % a_round) * size :][:size])  # sorted, so that the disk is read sequentially
        plan = next(plan for plan in self.crop_plans if step < plan.until)
        return taught(self.world, np.random.default_rng((seed, 5, step)), numbers, plan)

    def loss(self, model: FusionModel, tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        image, head = cast("ImageCnn", model.encoders["image"]), cast("PointHead", model.heads["target"])
        plane = image.look(batch["image"])
        answer = _command_of_image(model, image.gist(plane))
        sign = cross_entropy(answer, batch["sign"], ignore_index=OUTSIDE, label_smoothing=SMOOTHING)
        text = model.encoders["text"](batch["text"].flatten(0, 1))
        gated = _gated(
            model, {"map": plane.repeat_interleave(batch["text"].shape[1], 0)}, text, batch["presence"].flatten(0, 1)
        )
        heat = head.look(*gated).flatten(1)
        # The cells of a map of any size and "nowhere", whose logit is 0, share one softmax.
        placing = cross_entropy(torch.cat([heat, torch.zeros_like(heat[:, :1])], 1), batch["cells"].flatten(0, 1))
        naming = tutor(plane, batch)
        total = sign + naming + POINTING * placing + ATTENDING * _attention(image, plane, batch)
        labelled = batch["sign"] != OUTSIDE
        right = (answer.detach().argmax(1) == batch["sign"])[labelled].float().mean()
        shown = {"sign_loss": sign, "naming_loss": naming, "placing_loss": placing}
        return total, {"signs": float(right), **{name: float(value.detach()) for name, value in shown.items()}}

    def examine(self, model: FusionModel) -> dict[str, float]:
        from mm_edge.zoo.training.loop import predictor

        batch = make_batch(
            self.tune, np.arange(min(EVALUATION_PICTURES, len(self.tune.pictures))), (1, 11), mix=ALL_PRESENT
        )
        presence = np.tile(np.array([1, 0, 1], np.float32), (len(batch.sign), 1))
        outputs = predictor(model)({**batch.feeds, "presence": presence})
        figures = {"command_without_sound": command_accuracy(outputs, batch.sign), **target_figures(outputs, batch)}
        figures[self.main] = sum(figures.values()) / len(figures)
        return figures


class QueryBatch(NamedTuple):
    """Phrases for a batch of pictures and their targets: [pictures, phrases, ...]."""

    text: Ints
    cells: Floats
    presence: Floats


def taught(world: World, rng: np.random.Generator, numbers: Ints, plan: CropPlan) -> dict[str, Tensor]:
    """These pictures or crops of them, augmented, with labels and phrases."""
    cv2.setNumThreads(1)
    if plan.side is not None:
        shown = crop(world, rng, np.repeat(numbers, plan.pieces), plan.side)
    else:
        shown = whole(world, numbers)
        for row in np.flatnonzero(rng.random(len(numbers)) < MOVED_SHARE):
            shown.pictures[row], shown.ids[row] = moved(rng, shown.pictures[row], shown.ids[row])
    pictures, ids = shown.pictures, shown.ids
    some = np.flatnonzero(rng.random(len(pictures)) < RECOLORED_SHARE)
    pictures[some] = recolored(rng, pictures[some])
    queries = _queries(world, rng, shown, plan.phrases)
    named = regions(ids, shown.things, np.where(shown.sign == len(SIGNS), OUTSIDE, shown.sign))
    arrays = {
        "image": pictures,
        "sign": shown.sign,
        **queries._asdict(),
        "masks": named.masks,
        "shape": named.shape,
        "color": named.color,
        "card": named.sign,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def whole(world: World, numbers: Ints) -> Crops:
    pictures, ids = np.array(world.pictures[numbers]), np.array(world.ids[numbers])
    return Crops(pictures, ids, np.array(world.things[numbers]), world.signs[numbers].astype(np.int64))


def _queries(world: World, rng: np.random.Generator, shown: Crops, phrases: int) -> QueryBatch:
    bodies = [bodies_in(ids, things) for ids, things in zip(shown.ids, shown.things, strict=True)]
    texts, cells = [], []
    presence = np.ones((len(bodies), phrases, 3), np.float32)
    for phrase in range(phrases):
        queries = [ask(rng, there, DEFAULT_MIX.body_present, DEFAULT_MIX.whole_name) for there in bodies]
        draw = rng.random(len(bodies))
        presence[draw < NO_PICTURE, phrase, IMAGE] = 0
        presence[draw > 1 - NO_TEXT, phrase, TEXT] = 0
        known = presence[:, phrase].min(1) > 0
        slots = [one.slot if here else None for one, here in zip(queries, known, strict=True)]
        texts.append(wording_of(rng, world.split, queries))
        cells.append(np.stack([shares(ids, slot) for ids, slot in zip(shown.ids, slots, strict=True)]))
    return QueryBatch(np.stack(texts, 1), np.stack(cells, 1), presence)


def _command_of_image(model: FusionModel, image: Tensor) -> Tensor:
    presence = torch.zeros(len(image), len(model.order))
    presence[:, IMAGE] = 1
    unheard = torch.zeros(len(image), cast("AudioCnn", model.encoders["audio"]).width)
    return command_of(model, image, unheard, presence)


def _gated(model: FusionModel, image: Features, text: Features, presence: Tensor) -> tuple[Tensor, Tensor]:
    """The map and the phrase as inputs of the pointing head, each replaced if it is missing."""
    plane = model.gates["image"](image, presence[:, IMAGE : IMAGE + 1])["map"]
    phrase = model.gates["text"](text, presence[:, TEXT : TEXT + 1])["embedding"]
    return plane, phrase


def _attention(image: ImageCnn, plane: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """The loss of attending to anything but the sign, over the pictures that have one."""
    share = batch["masks"][:, -1]
    away = -(share * image.attend(plane)[:, 0].flatten(1).log_softmax(1)).sum(1)
    mean: Tensor = away.sum() / share.sum().clamp(min=1)
    return mean


__all__ = ["CropPlan", "ImageCourse", "Tutor", "taught"]
