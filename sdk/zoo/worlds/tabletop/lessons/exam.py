"""The held-out examination: voices, textures, wordings and layouts that training never met, easy and hard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import CLEAN, HARD, Order, open_world
from mm_edge.zoo.worlds.tabletop.foreign import drawn, plotted
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.phrases import tokens
from mm_edge.zoo.worlds.tabletop.scene import COLORS
from mm_edge.zoo.worlds.tabletop.sound import WINDOW

from .lessons import ALL_THERE, AUDIO, BOTH_SAY, IMAGE, lessons
from .measure import LEAST_SCORE, command_accuracy, target_figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from mm_edge.zoo.arrays import Ints, Picture
    from mm_edge.zoo.training.course import Predict, Told
    from mm_edge.zoo.worlds.tabletop.cache import Condition
    from mm_edge.zoo.worlds.tabletop.foreign import ForeignPicture

    from .lessons import Lessons, Mix

EXAM_SEED = 1
PAIRING = (EXAM_SEED, 13)
HELD_OUT = 3000


def held_out(cache: Path, condition: Condition, mix: Mix, *, samples: int, told: Told | None = None) -> Lessons:
    """The first `samples` of the held-out world, at most HELD_OUT."""
    world = open_world(Order(cache, "held-out", HELD_OUT, HELD_OUT, EXAM_SEED, condition), told=told)
    return lessons(world, np.arange(min(samples, HELD_OUT)), PAIRING, mix=mix)


def without(taught: Lessons, column: int) -> dict[str, npt.NDArray[Any]]:
    """The same feeds, one input missing: presence says so, and zeros stand in its place."""
    feeds = dict(taught.feeds)
    name = ("image", "audio", "text")[column]
    feeds["presence"] = np.array(feeds["presence"])
    feeds["presence"][:, column] = 0
    feeds[name] = np.zeros_like(feeds[name])
    return feeds


def examine(predict: Predict, cache: Path, *, samples: int = HELD_OUT, told: Told | None = None) -> dict[str, float]:
    """All figures of the card. In `both`, sign and word say the same; else there are signs, words, both and neither."""
    figures: dict[str, float] = {"samples": float(min(samples, HELD_OUT))}
    usual = held_out(cache, CLEAN, ALL_THERE, samples=samples, told=told)
    outputs = predict(usual.feeds)
    figures["clean.command"] = command_accuracy(outputs, usual.command)
    figures |= {f"clean.{name}": value for name, value in target_figures(outputs, usual).items()}
    for name, condition in (("clean", CLEAN), ("hard", HARD)):
        taught = held_out(cache, condition, BOTH_SAY, samples=samples, told=told)
        figures[f"{name}.both.command"] = command_accuracy(predict(taught.feeds), taught.command)
        figures[f"{name}.both.command_without_sound"] = command_accuracy(predict(without(taught, AUDIO)), taught.sign)
        figures[f"{name}.both.command_without_picture"] = command_accuracy(predict(without(taught, IMAGE)), taught.word)
    better = max(figures["hard.both.command_without_sound"], figures["hard.both.command_without_picture"])
    figures["hard.gain_over_better_single"] = figures["hard.both.command"] - better
    return figures


class Answer(NamedTuple):
    """What was asked of a foreign picture, and the answer: a point in pixels, and a score in 0..1."""

    picture: Picture
    phrase: str
    box: tuple[float, float, float, float] | None  # None: it is not there
    point: tuple[float, float]
    score: float

    @property
    def placed(self) -> bool:
        x, y = self.point
        return self.box is not None and self.box[0] <= x <= self.box[2] and self.box[1] <= y <= self.box[3]

    @property
    def right(self) -> bool:
        told = self.score >= LEAST_SCORE
        return self.placed and told if self.box is not None else not told


def ask_foreign(predict: Predict, draw: Callable[[int], ForeignPicture], pictures: int) -> list[Answer]:
    """Asks for everything that is in the pictures of another renderer, and for as much that is not, in plain words."""
    rng = np.random.default_rng((EXAM_SEED, 79))
    asked: list[tuple[Picture, str, tuple[float, float, float, float] | None]] = []
    for seed in range(pictures):
        shown = draw(seed)
        there = {(color, shape) for color, shape, _ in shown.things}
        gone = [(color, shape) for color in COLORS for shape in SHAPES if (color, shape) not in there]
        for color, shape, box in shown.things:
            other = gone[rng.integers(len(gone))]
            asked += [(shown.picture, f"the {color} {shape}", box), (shown.picture, "the {} {}".format(*other), None)]
    found = predict(_feeds([picture for picture, _, _ in asked], [tokens(phrase) for _, phrase, _ in asked]))
    scores = 1 / (1 + np.exp(-np.asarray(found["target_score"], np.float64)[:, 0]))
    points = np.asarray(found["target"], np.float64) * asked[0][0].shape[0]
    return [
        Answer(*question, (x, y), score)
        for question, (x, y), score in zip(asked, points.tolist(), scores.tolist(), strict=True)
    ]


def examine_foreign(predict: Predict, pictures: int = 100) -> dict[str, float]:
    """`inside`: share of points within the box of the thing, told as there; `absent`: of absent ones told as absent."""
    figures: dict[str, float] = {}
    for name, draw in (("drawn", drawn), ("plotted", plotted)):
        answers = ask_foreign(predict, draw, pictures)
        there, gone = ([a for a in answers if (a.box is None) is absent] for absent in (False, True))
        figures[f"foreign.{name}.target_placed"] = float(np.mean([answer.placed for answer in there]))
        figures[f"foreign.{name}.target_inside"] = float(np.mean([answer.right for answer in there]))
        figures[f"foreign.{name}.target_absent"] = float(np.mean([answer.right for answer in gone]))
    return figures


def _feeds(pictures: list[Picture], texts: list[Ints]) -> dict[str, npt.NDArray[Any]]:
    count = len(pictures)
    presence = np.ones((count, 3), np.float32)
    presence[:, AUDIO] = 0
    sound = np.zeros((count, WINDOW), np.float32)
    return {"image": np.stack(pictures), "audio": sound, "text": np.stack(texts), "presence": presence}
