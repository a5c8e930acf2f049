"""The held-out examination: voices, textures, wordings and layouts that training never met, easy and hard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .cache import CLEAN, HARD, Order, open_world
from .lessons import ALL_THERE, AUDIO, BOTH_SAY, IMAGE, lessons
from .measure import command_accuracy, target_figures

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from mm_edge.zoo.training.course import Predict, Told

    from .cache import Condition
    from .lessons import Lessons, Mix

EXAM_SEED = 1
PAIRING = (EXAM_SEED, 13)


def held_out(cache: Path, condition: Condition, mix: Mix, *, pictures: int = 3000, told: Told | None = None) -> Lessons:
    order = Order(cache, "held-out", pictures, pictures, EXAM_SEED, condition)
    world = open_world(order, told=told)
    return lessons(world, np.arange(pictures), PAIRING, mix=mix)


def without(taught: Lessons, column: int) -> dict[str, npt.NDArray[Any]]:
    """The same feeds, one input missing: presence says so, and zeros stand in its place."""
    feeds = dict(taught.feeds)
    name = ("image", "audio", "text")[column]
    feeds["presence"] = np.array(feeds["presence"])
    feeds["presence"][:, column] = 0
    feeds[name] = np.zeros_like(feeds[name])
    return feeds


def examine(predict: Predict, cache: Path, *, pictures: int = 3000, told: Told | None = None) -> dict[str, float]:
    """All figures of the card. In `both`, sign and word say the same; else there are signs, words, both and neither."""
    figures: dict[str, float] = {"samples": float(pictures)}
    usual = held_out(cache, CLEAN, ALL_THERE, pictures=pictures, told=told)
    outputs = predict(usual.feeds)
    figures["clean.command"] = command_accuracy(outputs, usual.command)
    figures |= {f"clean.{name}": value for name, value in target_figures(outputs, usual).items()}
    for name, condition in (("clean", CLEAN), ("hard", HARD)):
        taught = held_out(cache, condition, BOTH_SAY, pictures=pictures, told=told)
        figures[f"{name}.both.command"] = command_accuracy(predict(taught.feeds), taught.command)
        figures[f"{name}.both.command_without_sound"] = command_accuracy(predict(without(taught, AUDIO)), taught.sign)
        figures[f"{name}.both.command_without_picture"] = command_accuracy(predict(without(taught, IMAGE)), taught.word)
    better = max(figures["hard.both.command_without_sound"], figures["hard.both.command_without_picture"])
    figures["hard.gain_over_better_single"] = figures["hard.both.command"] - better
    return figures
