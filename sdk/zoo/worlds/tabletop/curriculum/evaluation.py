"""The held-out evaluation: voices, textures, wordings and layouts that are not in training, easy and hard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import CLEAN, HARD, DatasetSpec, open_world
from mm_edge.zoo.worlds.tabletop.foreign import drawn, plotted
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.phrases import tokens
from mm_edge.zoo.worlds.tabletop.scene import COLORS
from mm_edge.zoo.worlds.tabletop.sound import WINDOW

from .batches import ALL_PRESENT, AUDIO, IMAGE, SIGN_AND_WORD, make_batch
from .metrics import LEAST_SCORE, command_accuracy, target_figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from mm_edge.zoo.arrays import Ints, Picture, Predict
    from mm_edge.zoo.training.course import Progress
    from mm_edge.zoo.worlds.tabletop.cache import Condition
    from mm_edge.zoo.worlds.tabletop.foreign import ForeignPicture

    from .batches import Batch, Mix

EVALUATION_SEED = 1
PAIRING = (EVALUATION_SEED, 13)
HELD_OUT = 3000


def held_out(cache: Path, condition: Condition, mix: Mix, *, samples: int, progress: Progress | None = None) -> Batch:
    """The first `samples` of the held-out world, at most HELD_OUT."""
    world = open_world(
        DatasetSpec(cache, "held-out", HELD_OUT, HELD_OUT, EVALUATION_SEED, condition), progress=progress
    )
    return make_batch(world, np.arange(min(samples, HELD_OUT)), PAIRING, mix=mix)


def without(taught: Batch, column: int) -> dict[str, npt.NDArray[Any]]:
    """The same feeds with one input missing: its presence is 0 and its values are zeros."""
    feeds = dict(taught.feeds)
    name = ("image", "audio", "text")[column]
    feeds["presence"] = np.array(feeds["presence"])
    feeds["presence"][:, column] = 0
    feeds[name] = np.zeros_like(feeds[name])
    return feeds


def examine(
    predict: Predict, cache: Path, *, samples: int = HELD_OUT, progress: Progress | None = None
) -> dict[str, float]:
    """All metrics of the card. In `both`, sign and word agree; otherwise there are signs, words, both and neither."""
    figures: dict[str, float] = {"samples": float(min(samples, HELD_OUT))}
    usual = held_out(cache, CLEAN, ALL_PRESENT, samples=samples, progress=progress)
    outputs = predict(usual.feeds)
    figures["clean.command"] = command_accuracy(outputs, usual.command)
    figures |= {f"clean.{name}": value for name, value in target_figures(outputs, usual).items()}
    for name, condition in (("clean", CLEAN), ("hard", HARD)):
        taught = held_out(cache, condition, SIGN_AND_WORD, samples=samples, progress=progress)
        figures[f"{name}.both.command"] = command_accuracy(predict(taught.feeds), taught.command)
        figures[f"{name}.both.command_without_sound"] = command_accuracy(predict(without(taught, AUDIO)), taught.sign)
        figures[f"{name}.both.command_without_picture"] = command_accuracy(predict(without(taught, IMAGE)), taught.word)
    better = max(figures["hard.both.command_without_sound"], figures["hard.both.command_without_picture"])
    figures["hard.gain_over_better_single"] = figures["hard.both.command"] - better
    return figures


class Answer(NamedTuple):
    """A query on an out-of-domain picture and its answer: a point in pixels, and a score in 0..1."""

    picture: Picture
    phrase: str
    box: tuple[float, float, float, float] | None  # None: absent
    point: tuple[float, float]
    score: float

    @property
    def placed(self) -> bool:
        x, y = self.point
        return self.box is not None and self.box[0] <= x <= self.box[2] and self.box[1] <= y <= self.box[3]

    @property
    def right(self) -> bool:
        found = self.score >= LEAST_SCORE
        return self.placed and found if self.box is not None else not found


def ask_foreign(predict: Predict, draw: Callable[[int], ForeignPicture], pictures: int) -> list[Answer]:
    """Queries every object in the pictures of another renderer, and as many absent ones, in plain wording."""
    rng = np.random.default_rng((EVALUATION_SEED, 79))
    questions: list[tuple[Picture, str, tuple[float, float, float, float] | None]] = []
    for seed in range(pictures):
        shown = draw(seed)
        there = {(color, shape) for color, shape, _ in shown.things}
        gone = [(color, shape) for color in COLORS for shape in SHAPES if (color, shape) not in there]
        for color, shape, box in shown.things:
            other = gone[rng.integers(len(gone))]
            questions += [
                (shown.picture, f"the {color} {shape}", box),
                (shown.picture, "the {} {}".format(*other), None),
            ]
    found = predict(_feeds([picture for picture, _, _ in questions], [tokens(phrase) for _, phrase, _ in questions]))
    scores = 1 / (1 + np.exp(-np.asarray(found["target_score"], np.float64)[:, 0]))
    points = np.asarray(found["target"], np.float64) * questions[0][0].shape[0]
    return [
        Answer(*question, (x, y), score)
        for question, (x, y), score in zip(questions, points.tolist(), scores.tolist(), strict=True)
    ]


def examine_foreign(predict: Predict, pictures: int = 100) -> dict[str, float]:
    """`inside`: share of present objects found with the point in their box; `absent`: share of absent ones rejected."""
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
