"""Compares results with the reference, as tensors and as decoded answers: decides whether a bundle may be written."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, cast

import numpy as np

from mm_edge.bundle.manifest import ParityRow
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.decode.activation import activate
from mm_edge.runtime.engines.relative_error import relative_error as relative_error  # noqa: PLC0414  # also for importers of this file
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.model import Labelled
    from mm_edge.export.recipe import Recipe
    from mm_edge.spec import OutputSpec


# How far a result may be from the reference: the norm of the difference over the norm of the reference, worst sample.
TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2, "int8-cpu": 0.05, "int8-trt": 0.05}
TINY = 1e-12
SAME_BOX_OVERLAP = 0.9
SAME_PLACE = 0.05  # of the image's side
SAME_PROBABILITY = 0.02  # two answers on either side of a threshold are the same when they are this close
SAME_DIRECTION = 0.999  # cosine of two embeddings


def tolerance_of(recipe: Recipe, precision: Precision) -> float:
    """The default, or the one of the recipe, which is for the reduced precisions."""
    return TOLERANCES[precision] if recipe.tolerance is None or precision == "fp32" else recipe.tolerance


def usual_norm(arrays: Sequence[Array]) -> float:
    """The root mean square norm over all samples, so that one sample near zero does not set the scale."""
    return float(np.sqrt(np.mean([np.linalg.norm(array.astype(np.float64)) ** 2 for array in arrays])))


def cosine(got: Array, wanted: Array) -> float:
    a, b = got.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths < TINY:
        return 1.0 if np.allclose(a, b, atol=TINY) else 0.0
    return float(np.clip(a @ b / lengths, -1.0, 1.0))


def compare(  # noqa: PLR0917
    scope: str,
    precision: str,
    tensor: str,
    got: Sequence[Array],
    wanted: Sequence[Array],
    tolerance: float,
    data: Literal["calibration", "unseen", "random"],
) -> ParityRow:
    """One tensor over all samples. The worst sample counts, not the average."""
    if any(a.shape != b.shape or not np.isfinite(a.astype(np.float64)).all() for a, b in zip(got, wanted, strict=True)):
        # JSON has no infinity; the largest finite float replaces it.
        worst = float(np.finfo(np.float32).max)
        return ParityRow(
            scope, precision, tensor, len(got), worst, worst, 0.0, relative_error=worst, passed=False, data=data
        )
    differences = [np.abs(a.astype(np.float64) - b.astype(np.float64)) for a, b in zip(got, wanted, strict=True)]
    scale = usual_norm(wanted)
    relative = max(relative_error(a, b, scale) for a, b in zip(got, wanted, strict=True))
    return ParityRow(
        scope=scope,
        precision=precision,
        tensor=tensor,
        samples=len(got),
        max_error=float(max(d.max(initial=0.0) for d in differences)),
        mean_error=float(np.mean([d.mean() for d in differences])),
        cosine=min(cosine(a, b) for a, b in zip(got, wanted, strict=True)),
        relative_error=relative,
        passed=relative <= tolerance,
        data=data,
    )


def compare_all(  # noqa: PLR0917
    scope: str,
    precision: str,
    got: Sequence[Feed],
    wanted: Sequence[Feed],
    tolerance: float,
    data: Literal["calibration", "unseen", "random"],
) -> list[ParityRow]:
    """One row for every tensor of the reference."""
    return [
        compare(scope, precision, name, [feed[name] for feed in got], [feed[name] for feed in wanted], tolerance, data)
        for name in wanted[0]
    ]


def passed(rows: Iterable[ParityRow]) -> bool:
    return all(row.passed for row in rows)


def worst(rows: Iterable[ParityRow]) -> ParityRow:
    return max(rows, key=lambda row: row.relative_error)


def gate(rows: Sequence[ParityRow], recipe: Recipe, makers: Mapping[str, str]) -> None:
    """Raises unless every row passed; names the worst tensor and the node that computes it (`makers`, by tensor)."""
    failed = [row for row in rows if not row.passed]
    if not failed:
        return
    row = worst(failed)
    limit = tolerance_of(recipe, cast("Precision", row.precision))  # a plain string in the manifest
    maker = f" (computed by {makers[row.tensor]})" if row.tensor in makers else ""
    reason = (
        f"agreement {row.agreement:.3f}"
        if row.agreement is not None and row.relative_error <= limit
        else f"relative error {row.relative_error:.3g} (at most {limit:.3g})"
    )
    raise WorkFailedError(
        f"{row.scope} in {row.precision}: '{row.tensor}'{maker} has {reason}, cosine {row.cosine:.5f}; "
        f"{len(failed)} of {len(rows)} checks failed",
        action="verifying parity with the source model",
        hint="No bundle was written. Leave that precision out, calibrate on better samples, or raise --tolerance",
    )


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


def accuracy(output: OutputSpec, got: Sequence[Feed], samples: Sequence[Labelled]) -> float | None:
    """The share of samples whose best class is the labelled one; None for outputs or labels of another kind."""
    if not isinstance(output, ClassesOutput) or not samples:
        return None
    right = []
    for values, sample in zip(got, samples, strict=True):
        label = sample.labels.get(output.name)
        index = output.labels.index(label) if isinstance(label, str) and label in output.labels else label
        if not isinstance(index, (int, np.integer)):
            return None
        right.append(int(np.argmax(values[output.reads["logits"]])) == int(index))
    return float(np.mean(right))


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
