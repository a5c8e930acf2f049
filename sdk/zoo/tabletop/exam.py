"""The held-out examination: voices, textures, wordings and layouts that training never met, easy and hard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .cache import CLEAN, HARD, Order, open_world
from .foreign import drawn, plotted
from .lessons import ALL_THERE, AUDIO, BOTH_SAY, IMAGE, lessons
from .measure import LEAST_SCORE, command_accuracy, target_figures
from .mesh import SHAPES
from .phrases import tokens
from .scene import COLORS
from .sound import WINDOW

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from mm_edge.zoo.arrays import Ints, Picture
    from mm_edge.zoo.training.course import Predict, Told

    from .cache import Condition
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


def examine_foreign(predict: Predict, pictures: int = 150) -> dict[str, float]:
    """Asks for everything that is in pictures of two other renderers, and for as much that is not, in plain words.

    `inside` is the share of points within the thing's box, told as there; `absent` of absent things told as absent.
    """
    figures: dict[str, float] = {}
    for name, draw in (("drawn", drawn), ("plotted", plotted)):
        rng = np.random.default_rng((EXAM_SEED, 79))
        rows, texts, boxes = [], [], []
        for seed in range(pictures):
            shown = draw(seed)
            there = {(color, shape) for color, shape, _ in shown.things}
            gone = [(color, shape) for color in COLORS for shape in SHAPES if (color, shape) not in there]
            for color, shape, box in shown.things:
                other = gone[rng.integers(len(gone))]
                rows += [shown.picture, shown.picture]
                texts += [tokens(f"the {color} {shape}"), tokens(f"the {other[0]} {other[1]}")]
                boxes += [box, None]
        found = predict(_feeds(rows, texts))
        score = 1 / (1 + np.exp(-np.asarray(found["target_score"], np.float64)[:, 0]))
        point = np.asarray(found["target"], np.float64) * rows[0].shape[0]
        hits = [
            b is not None and bool(b[0] <= x <= b[2] and b[1] <= y <= b[3])
            for b, (x, y) in zip(boxes, point, strict=True)
        ]
        present = np.array([box is not None for box in boxes])
        figures[f"foreign.{name}.target_placed"] = float(np.array(hits)[present].mean())
        figures[f"foreign.{name}.target_inside"] = float((np.array(hits) & (score >= LEAST_SCORE))[present].mean())
        figures[f"foreign.{name}.target_absent"] = float((score < LEAST_SCORE)[~present].mean())
    return figures


def _feeds(pictures: list[Picture], texts: list[Ints]) -> dict[str, npt.NDArray[Any]]:
    count = len(pictures)
    presence = np.ones((count, 3), np.float32)
    presence[:, AUDIO] = 0
    sound = np.zeros((count, WINDOW), np.float32)
    return {"image": np.stack(pictures), "audio": sound, "text": np.stack(texts), "presence": presence}
