"""Whether two results of a model decode to the same answer, and for what share of samples they do."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mm_edge.spec import (
    BoxesOutput,
    ClassesOutput,
    EmbeddingOutput,
    HeatmapOutput,
    LabelsOutput,
    PointOutput,
    ScoresOutput,
    SimilarityOutput,
    TextOutput,
)

from .activation import activate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.spec import OutputSpec

Array: TypeAlias = NDArray[Any]
Feed: TypeAlias = "Mapping[str, Array]"
TINY = 1e-12
SAME_BOX_OVERLAP = 0.9
SAME_PLACE = 0.05  # of the image's side
SAME_PROBABILITY = 0.02  # two answers on either side of a threshold are the same when they are this close
SAME_DIRECTION = 0.999  # cosine of two embeddings


def cosine(got: Array, wanted: Array) -> float:
    a, b = got.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths < TINY:
        return 1.0 if np.allclose(a, b, atol=TINY) else 0.0
    return float(np.clip(a @ b / lengths, -1.0, 1.0))


def agreement(output: OutputSpec, got: Sequence[Feed], wanted: Sequence[Feed]) -> float:
    """The share of samples whose decoded output stays the same."""
    roles = dict(output.reads)
    same = [
        agrees(
            output,
            {role: a[tensor] for role, tensor in roles.items()},
            {role: b[tensor] for role, tensor in roles.items()},
        )
        for a, b in zip(got, wanted, strict=True)
    ]
    return float(np.mean(same))


@singledispatch
def agrees(output: object, got: Feed, wanted: Feed) -> bool:  # noqa: ARG001
    """One sample, by role."""
    raise TypeError(f"no way to compare {type(output).__name__}")


@agrees.register(ClassesOutput)
def _(output: ClassesOutput, got: Feed, wanted: Feed) -> bool:
    return _same_best(got["logits"], wanted["logits"], softmax=output.activation == "softmax")


@agrees.register(TextOutput)
def _(output: TextOutput, got: Feed, wanted: Feed) -> bool:
    del output
    return _same_best(got["logits"], wanted["logits"], softmax=True)


@agrees.register(SimilarityOutput)
def _(output: SimilarityOutput, got: Feed, wanted: Feed) -> bool:
    return _same_best(got["scores"], wanted["scores"], softmax=output.activation == "softmax")


@agrees.register(LabelsOutput)
def _(output: LabelsOutput, got: Feed, wanted: Feed) -> bool:
    a, b = (_unit(feed["logits"], sigmoid=output.activation == "sigmoid") for feed in (got, wanted))
    return bool(np.all(((a > 0.5) == (b > 0.5)) | (np.abs(a - b) < SAME_PROBABILITY)))


@agrees.register(EmbeddingOutput)
def _(output: EmbeddingOutput, got: Feed, wanted: Feed) -> bool:
    del output
    return cosine(got["values"], wanted["values"]) >= SAME_DIRECTION


@agrees.register(ScoresOutput)
def _(output: ScoresOutput, got: Feed, wanted: Feed) -> bool:
    del output
    a, b = got["values"].astype(np.float64), wanted["values"].astype(np.float64)
    return bool(np.abs(a - b).max(initial=0.0) <= 0.05 * max(1.0, float(np.abs(b).max(initial=0.0))))


@agrees.register(HeatmapOutput)
def _(output: HeatmapOutput, got: Feed, wanted: Feed) -> bool:
    peaks = [_peak(feed["heatmap"]) for feed in (got, wanted)]
    if not _same_score(got, wanted, sigmoid=output.activation == "sigmoid", threshold=output.score_threshold):
        return False
    return _below_threshold(wanted, output.activation == "sigmoid", output.score_threshold) or bool(
        np.abs(peaks[0] - peaks[1]).max() <= SAME_PLACE
    )


@agrees.register(PointOutput)
def _(output: PointOutput, got: Feed, wanted: Feed) -> bool:
    if not _same_score(got, wanted, sigmoid=output.activation == "sigmoid", threshold=output.score_threshold):
        return False
    near = bool(np.abs(got["point"].astype(np.float64) - wanted["point"]).max() <= SAME_PLACE)
    return near or _below_threshold(wanted, output.activation == "sigmoid", output.score_threshold)


@agrees.register(BoxesOutput)
def _(output: BoxesOutput, got: Feed, wanted: Feed) -> bool:
    """Every confident box of the reference has one of the same label that overlaps it, and there are as many."""
    sides = []
    for feed in (got, wanted):
        scores = _unit(feed["scores"], sigmoid=output.activation == "sigmoid")
        batch, place, kind = np.nonzero(scores > output.score_threshold + SAME_PROBABILITY)
        sides.append((feed["boxes"][batch, place].astype(np.float64), kind))
    (boxes, labels), (wanted_boxes, wanted_labels) = sides
    centre = output.layout == "cxcywh"
    for box, label in zip(wanted_boxes, wanted_labels, strict=True):
        rivals = boxes[labels == label]
        if not len(rivals) or max(_overlap(box, rival, centre=centre) for rival in rivals) < SAME_BOX_OVERLAP:
            return False
    return abs(len(boxes) - len(wanted_boxes)) <= 0.1 * len(wanted_boxes)


def _same_best(got: Array, wanted: Array, *, softmax: bool) -> bool:
    """Whether the best class is the same in every row; for a tie in the reference, either class is accepted."""
    a: Array = got.reshape(-1, got.shape[-1]).astype(np.float64)
    b: Array = wanted.reshape(-1, wanted.shape[-1]).astype(np.float64)
    if a.shape != b.shape:
        return False
    if softmax:
        b = activate(b, "softmax")
    chosen, best = b[np.arange(len(b)), a.argmax(axis=1)], b.max(axis=1)
    return bool(np.all(best - chosen <= (SAME_PROBABILITY if softmax else 0.0)))


def _unit(values: Array, *, sigmoid: bool) -> Array:
    return activate(values, "sigmoid" if sigmoid else "none")


def _peak(heatmap: Array) -> Array:
    height, width = heatmap.shape[-2:]
    places: Array = np.argmax(heatmap.reshape(-1, height * width), axis=1)
    return np.stack([places % width / width, places // width / height], axis=1)


def _same_score(got: Feed, wanted: Feed, *, sigmoid: bool, threshold: float) -> bool:
    if "score" not in wanted:
        return True
    a, b = (_unit(feed["score"], sigmoid=sigmoid) for feed in (got, wanted))
    return bool(np.all(((a > threshold) == (b > threshold)) | (np.abs(a - b) < SAME_PROBABILITY)))


def _below_threshold(wanted: Feed, sigmoid: bool, threshold: float) -> bool:
    """Below the threshold nothing is detected, and the position does not matter."""
    return "score" in wanted and bool(np.all(_unit(wanted["score"], sigmoid=sigmoid) <= threshold))


def _overlap(a: Array, b: Array, *, centre: bool) -> float:
    if centre:
        a, b = (np.concatenate([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2]) for box in (a, b))
    top_left, bottom_right = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.clip(bottom_right - top_left, 0, None)))
    total = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / total if total > 0 else 1.0
