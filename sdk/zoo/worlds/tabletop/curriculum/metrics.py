"""Metrics of a batch: command accuracy, points inside the body, absent bodies rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .batches import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from mm_edge.zoo.arrays import Ints

    from .batches import Batch

    Outputs = Mapping[str, npt.NDArray[Any]]

LEAST_SCORE = 0.5


def command_accuracy(outputs: Outputs, truth: Ints) -> float:
    return float((np.asarray(outputs["command"]).argmax(1) == truth).mean())


def confusion(outputs: Outputs, truth: Ints) -> Ints:
    counts = np.zeros((len(COMMANDS), len(COMMANDS)), np.int64)
    np.add.at(counts, (truth, np.asarray(outputs["command"]).argmax(1)), 1)
    return counts


def target_figures(outputs: Outputs, taught: Batch) -> dict[str, float]:
    """Shares. `inside`: present bodies found, with the point inside the outline of their visible part (a ring's hole
    counts as inside); `placed`: the same regardless of the score. `absent`: absent bodies reported as absent.
    """
    side = taught.feeds["image"].shape[1]
    points = np.asarray(outputs["target"], np.float64) * side
    scores = 1 / (1 + np.exp(-np.asarray(outputs["target_score"], np.float64)[:, 0]))
    inside, placed, absent = [], [], []
    for row, hull in enumerate(taught.hulls):
        if len(hull) == 0:
            absent.append(scores[row] < LEAST_SCORE)
            continue
        hit = cv2.pointPolygonTest(hull, (float(points[row, 0]), float(points[row, 1])), measureDist=False) >= 0
        placed.append(hit)
        inside.append(hit and scores[row] >= LEAST_SCORE)
    return {
        "target_inside": float(np.mean(inside)) if inside else float("nan"),
        "target_placed": float(np.mean(placed)) if placed else float("nan"),
        "target_absent": float(np.mean(absent)) if absent else float("nan"),
    }
