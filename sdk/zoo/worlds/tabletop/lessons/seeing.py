"""By eye: signs and bodies in pictures, and where the body stands that a phrase names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mm_edge.zoo.worlds.tabletop.drawing.vary import moved, recolored
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.scene import COLORS
from mm_edge.zoo.worlds.tabletop.signs import SIGNS

from .close import Shown, cut
from .deciding import command_of
from .lessons import ALL_THERE, IMAGE, TEXT, USUAL, lessons, wording_of
from .measure import command_accuracy, target_figures
from .naming import ask, bodies_in
from .places import OUTSIDE, regions, shares

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Floats, Ints
    from mm_edge.zoo.compose import FusionModel
    from mm_edge.zoo.encoders import AudioCnn
    from mm_edge.zoo.encoders.encoder import Features
    from mm_edge.zoo.encoders.image import ImageCnn
    from mm_edge.zoo.heads import PointHead
    from mm_edge.zoo.worlds.tabletop.cache import World

NO_PICTURE, NO_TEXT = 0.03, 0.04  # of the phrases: nothing can be pointed at then
MOVED_SHARE = RECOLORED_SHARE = 0.6  # of the pictures
SMOOTHING = 0.02
EXAM_PICTURES = 600
POINTING, ATTENDING = 1.0, 0.3  # what their losses weigh beside naming


class Look(NamedTuple):
    """How pictures are looked at until this step. `side` None: whole; else pieces of so many pixels, some a picture."""

    until: int
    side: int | None
    pieces: int
    phrases: int  # for every piece or picture


class Tutor(nn.Module):
    """Heads for training alone: what stands in each region of the map."""

    def __init__(self, map_width: int) -> None:
        super().__init__()
        self.shape, self.color = nn.Linear(map_width, len(SHAPES)), nn.Linear(map_width, len(COLORS))
        self.card = nn.Linear(map_width, len(SIGNS))

    def forward(self, plane: Tensor, batch: dict[str, Tensor]) -> Tensor:
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


class Seeing:
    """The course of the image and text encoders and of the pointing head. Pieces of pictures first, whole ones last."""

    main = "seen"

    def __init__(self, world: World, tune: World, looks: tuple[Look, ...]) -> None:
        self.world, self.tune, self.looks = world, tune, looks

    def tutor(self, model: FusionModel) -> nn.Module:
        return Tutor(int(model.encoders["image"].map_width))  # type: ignore[arg-type]  # a module of a ModuleDict

    def batch(self, step: int, size: int, seed: int) -> dict[str, Tensor]:
        step = min(step, self.looks[-1].until - 1)  # the loop asks for one batch ahead
        a_round = len(self.world.pictures) // size
        order = np.random.default_rng((seed, 3, step // a_round)).permutation(len(self.world.pictures))
        numbers = np.sort(order[(step % a_round) * size :][:size])  # sorted, so that the disk is read forward
        look = next(look for look in self.looks if step < look.until)
        return taught(self.world, np.random.default_rng((seed, 5, step)), numbers, look)

    def loss(self, model: FusionModel, tutor: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        image, head = cast("ImageCnn", model.encoders["image"]), cast("PointHead", model.heads["target"])
        plane = image.look(batch["image"])
        answer = _by_eye(model, image.gist(plane))
        sign = cross_entropy(answer, batch["sign"], ignore_index=OUTSIDE, label_smoothing=SMOOTHING)
        asked = model.encoders["text"](batch["text"].flatten(0, 1))
        gated = _gated(
            model, {"map": plane.repeat_interleave(batch["text"].shape[1], 0)}, asked, batch["presence"].flatten(0, 1)
        )
        heat = head.look(*gated).flatten(1)
        # The cells of a map of any size and "nowhere", whose logit is 0, share one softmax.
        placing = cross_entropy(torch.cat([heat, torch.zeros_like(heat[:, :1])], 1), batch["cells"].flatten(0, 1))
        naming = tutor(plane, batch)
        total = sign + naming + POINTING * placing + ATTENDING * _attention(image, plane, batch)
        told = batch["sign"] != OUTSIDE
        right = (answer.detach().argmax(1) == batch["sign"])[told].float().mean()
        shown = {"sign_loss": sign, "naming_loss": naming, "placing_loss": placing}
        return total, {"signs": float(right), **{name: float(value.detach()) for name, value in shown.items()}}

    def examine(self, model: FusionModel) -> dict[str, float]:
        from mm_edge.zoo.training.loop import predictor

        asked = lessons(self.tune, np.arange(min(EXAM_PICTURES, len(self.tune.pictures))), (1, 11), mix=ALL_THERE)
        presence = np.tile(np.array([1, 0, 1], np.float32), (len(asked.sign), 1))
        outputs = predictor(model)({**asked.feeds, "presence": presence})
        figures = {"command_without_sound": command_accuracy(outputs, asked.sign), **target_figures(outputs, asked)}
        figures[self.main] = sum(figures.values()) / len(figures)
        return figures


class Asked(NamedTuple):
    """What phrases ask of a batch of pictures: [pictures, phrases, ...]."""

    text: Ints
    cells: Floats
    presence: Floats


def taught(world: World, rng: np.random.Generator, numbers: Ints, look: Look) -> dict[str, Tensor]:
    """These pictures, or pieces of each, varied, with labels and phrases."""
    cv2.setNumThreads(1)
    if look.side is not None:
        shown = cut(world, rng, np.repeat(numbers, look.pieces), look.side)
    else:
        shown = whole(world, numbers)
        for row in np.flatnonzero(rng.random(len(numbers)) < MOVED_SHARE):
            shown.pictures[row], shown.ids[row] = moved(rng, shown.pictures[row], shown.ids[row])
    pictures, ids = shown.pictures, shown.ids
    some = np.flatnonzero(rng.random(len(pictures)) < RECOLORED_SHARE)
    pictures[some] = recolored(rng, pictures[some])
    asked = _asked(world, rng, shown, look.phrases)
    named = regions(ids, shown.things, np.where(shown.sign == len(SIGNS), OUTSIDE, shown.sign))
    arrays = {
        "image": pictures,
        "sign": shown.sign,
        **asked._asdict(),
        "masks": named.masks,
        "shape": named.shape,
        "color": named.color,
        "card": named.sign,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def whole(world: World, numbers: Ints) -> Shown:
    pictures, ids = np.array(world.pictures[numbers]), np.array(world.ids[numbers])
    return Shown(pictures, ids, np.array(world.things[numbers]), world.signs[numbers].astype(np.int64))


def _asked(world: World, rng: np.random.Generator, shown: Shown, phrases: int) -> Asked:
    bodies = [bodies_in(ids, things) for ids, things in zip(shown.ids, shown.things, strict=True)]
    texts, cells = [], []
    presence = np.ones((len(bodies), phrases, 3), np.float32)
    for phrase in range(phrases):
        asked = [ask(rng, there, USUAL.body_present, USUAL.whole_name) for there in bodies]
        draw = rng.random(len(bodies))
        presence[draw < NO_PICTURE, phrase, IMAGE] = 0
        presence[draw > 1 - NO_TEXT, phrase, TEXT] = 0
        known = presence[:, phrase].min(1) > 0
        slots = [one.slot if here else None for one, here in zip(asked, known, strict=True)]
        texts.append(wording_of(rng, world.split, asked))
        cells.append(np.stack([shares(ids, slot) for ids, slot in zip(shown.ids, slots, strict=True)]))
    return Asked(np.stack(texts, 1), np.stack(cells, 1), presence)


def _by_eye(model: FusionModel, image: Tensor) -> Tensor:
    presence = torch.zeros(len(image), len(model.order))
    presence[:, IMAGE] = 1
    unheard = torch.zeros(len(image), cast("AudioCnn", model.encoders["audio"]).width)
    return command_of(model, image, unheard, presence)


def _gated(model: FusionModel, image: Features, text: Features, presence: Tensor) -> tuple[Tensor, Tensor]:
    """The map and the phrase as the pointing head gets them, each replaced where it is missing."""
    plane = model.gates["image"](image, presence[:, IMAGE : IMAGE + 1])["map"]
    asked = model.gates["text"](text, presence[:, TEXT : TEXT + 1])["embedding"]
    return plane, asked


def _attention(image: ImageCnn, plane: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """The loss of attending elsewhere than to the sign, over the pictures that have one."""
    share = batch["masks"][:, -1]
    away = -(share * image.attend(plane)[:, 0].flatten(1).log_softmax(1)).sum(1)
    mean: Tensor = away.sum() / share.sum().clamp(min=1)
    return mean


__all__ = ["Look", "Seeing", "Tutor", "taught"]
