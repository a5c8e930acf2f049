"""Compares results with the reference, as tensors and as decoded answers: decides whether a bundle may be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from mm_edge.bundle.manifest import ParityRow
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.decode.agreement import cosine
from mm_edge.runtime.engines.relative_error import relative_error as relative_error  # noqa: PLC0414  # also for importers of this file
from mm_edge.spec import ClassesOutput

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


def tolerance_of(recipe: Recipe, precision: Precision) -> float:
    """The default, or the one of the recipe, which is for the reduced precisions."""
    return TOLERANCES[precision] if recipe.tolerance is None or precision == "fp32" else recipe.tolerance


def usual_norm(arrays: Sequence[Array]) -> float:
    """The root mean square norm over all samples, so that one sample near zero does not set the scale."""
    return float(np.sqrt(np.mean([np.linalg.norm(array.astype(np.float64)) ** 2 for array in arrays])))


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
