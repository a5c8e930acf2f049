"""Compares results with the reference, part by part and for the whole model, as tensors and as decoded answers: decides
whether a bundle may be written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

from mm_edge.bundle.manifest import ParityRow
from mm_edge.errors import WorkFailedError
from mm_edge.export.feeds import graph_inputs, random_feed
from mm_edge.export.graphs.runner import ALL_CORES, Runner, open_artefact, run_all
from mm_edge.runtime.decode.agreement import agreement, cosine
from mm_edge.runtime.engines.relative_error import relative_error as relative_error  # noqa: PLC0414  # also for importers of this file
from mm_edge.spec import ClassesOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.model import Dataset, Labelled, SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import PartGraph, SplitModel
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


SPLIT_TOLERANCE = 1e-6
BATCHES = (1, 3)
# What a part without the precision runs in: the order in which an engine chooses from a bundle.
STAND_INS: dict[Precision, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16", "fp32"),
    "int8-cpu": ("int8-cpu", "fp32"),
    "int8-trt": ("int8-trt", "fp16", "fp32"),
}
LEAST_CHANGE = 1e-6  # relative; less is rounding
SAMPLES = 8  # to change an input of: it may be without effect in some, for example where another one is missing
SWAPS = 3  # with values of other samples, for each of these
IGNORED_HINT = (
    "No bundle was written. Look for a normalisation with a missing statistic or a scale of zero, or remove the input "
    "from the model and its spec"
)


def stand_in(paths: Mapping[Precision, Path], precision: Precision) -> Precision:
    """The precision that a part runs in when the model runs in `precision`."""
    return next(item for item in STAND_INS[precision] if item in paths)


def run_chain(
    parts: Sequence[PartGraph], opened: Callable[[PartGraph], Runner], samples: Sequence[dict[str, Array]]
) -> None:
    """Adds the outputs of every part to the values of each sample. One part is loaded at a time: each holds weights."""
    for part in parts:
        runner = opened(part)
        for values in samples:
            values.update(part.by_reference(runner(part.feed(values))))
        del runner  # before the next one is opened


def verify_split(split: SplitModel) -> float:
    """Compares the chain with the unsplit fp32 graph on random inputs; returns the largest relative error.

    Both run without the engine's optimizer: the test is whether the cut changed a result, not how kernels round.
    """
    model = split.source
    sizes = (1,) if model.fixed_batch else BATCHES
    feeds = [_feed(model, 100 + seed, size) for seed, size in enumerate(sizes)]
    wanted = run_all(Runner(model.graph, threads=ALL_CORES, optimize="none"), feeds)
    chained = [split.values_of(feed) for feed in feeds]
    run_chain(split.parts, lambda part: Runner(part.graph, threads=ALL_CORES, optimize="none"), chained)
    largest = 0.0
    for size, values, outputs in zip(sizes, chained, wanted, strict=True):
        for name, value in outputs.items():
            error = relative_error(values[split.outputs[name]], value)
            largest = max(largest, error)
            if error > SPLIT_TOLERANCE:
                raise WorkFailedError(
                    f"'{name}' of the chained parts differs by {error:.2g} (relative, batch {size})",
                    action="verifying the split",
                    hint="Export the model as one part: --split never",
                )
    return largest


def _feed(model: SourceModel, seed: int, size: int) -> Feed:
    """A different size for each named dimension, so that no two are confused; at `size` 1 all are 1."""
    named = sorted({dim for tensor in graph_inputs(model.spec) for dim in tensor.shape if isinstance(dim, str)})
    sizes = {dim: size + place for place, dim in enumerate(named)} if size > 1 else dict.fromkeys(named, 1)
    return random_feed(model.spec, seed, sizes, model.vocabulary)


@dataclass
class ChainVerifier:
    """Compares the chain with the source model on unseen samples, one precision at a time."""

    split: SplitModel
    dataset: Dataset
    recipe: Recipe
    reference: Sequence[Feed]  # the source model's outputs for the unseen samples
    fp32_values: Sequence[dict[str, Array]]  # all values of the fp32 chain for them, by reference
    known: dict[Path, list[Feed]] = field(default_factory=dict)  # outputs by artefact, of parts that read no other part

    def chain_rows(self, paths: Mapping[str, Mapping[Precision, Path]], precision: Precision) -> list[ParityRow]:
        """The whole model against its source, decoded outputs included."""
        chained = [self.split.values_of(feed) for feed in self.dataset.unseen]
        for part in self.split.parts:
            for values, outputs in zip(chained, self._outputs(part, paths[part.name], precision, chained), strict=True):
                values.update(part.by_reference(outputs))
        got = [self.split.outputs_of(values) for values in chained]
        tolerance = tolerance_of(self.recipe, precision)
        rows = compare_all("chain", precision, got, self.reference, tolerance, self.dataset.kind)
        labelled = [self.split.values_of(sample.feed) for sample in self.dataset.labelled]
        if labelled:
            run_chain(self.split.parts, lambda part: _opened(paths[part.name], precision), labelled)
        answers = [self.split.outputs_of(values) for values in labelled]
        for output in self.split.source.spec.outputs:
            share = agreement(output, got, self.reference)
            right = accuracy(output, answers, self.dataset.labelled)
            for place, row in enumerate(rows):
                if row.tensor in output.reads.values():
                    passed = row.passed and (share >= self.recipe.agreement or self.dataset.kind == "random")
                    rows[place] = msgspec.structs.replace(row, agreement=share, accuracy=right, passed=passed)
        return rows

    def part_rows(self, paths: Mapping[str, Mapping[Precision, Path]]) -> list[ParityRow]:
        """Every part on its own, fed with the outputs of the fp32 parts before it."""
        rows = []
        for part in self.split.parts:
            wanted = [part.outputs(values) for values in self.fp32_values]
            for precision, path in paths[part.name].items():
                if precision == "fp32":
                    continue
                got = self._outputs(part, {precision: path}, precision, self.fp32_values)
                tolerance = tolerance_of(self.recipe, precision)
                rows += compare_all(f"part:{part.name}", precision, got, wanted, tolerance, self.dataset.kind)
        return rows

    def _outputs(
        self,
        part: PartGraph,
        paths: Mapping[Precision, Path],
        precision: Precision,
        samples: Sequence[Mapping[str, Array]],
    ) -> list[Feed]:
        """The part's outputs in this precision or its stand-in."""
        path = paths[stand_in(paths, precision)]
        if path in self.known:
            return self.known[path]
        outputs = run_all(_opened(paths, precision), [part.feed(values) for values in samples])
        if part.stands_alone:
            self.known[path] = outputs
        return outputs


def _opened(paths: Mapping[Precision, Path], precision: Precision) -> Runner:
    found = stand_in(paths, precision)
    return open_artefact(paths[found], found, threads=ALL_CORES)


def verify_inputs_are_read(split: SplitModel) -> None:
    """Raises for an input of the model that no part reads."""
    read = {read.source for part in split.parts for read in part.reads.values()}
    for tensor in graph_inputs(split.source.spec):
        (source,) = split.values_of({tensor.name: np.zeros(0)})
        if source not in read:
            raise WorkFailedError(
                f"no output depends on '{tensor.name}'", action="verifying the inputs", hint=IGNORED_HINT
            )


def verify_inputs(part: PartGraph, precision: str, run: Callable[[Feed], Feed], samples: Sequence[Feed]) -> None:
    """Raises for an input that the part ignores."""
    if (name := ignored_input(part, run, samples)) is not None:
        raise WorkFailedError(
            f"the input '{name}' of part '{part.name}' changes none of its outputs in {precision}",
            action="verifying the inputs",
            hint=IGNORED_HINT,
        )


def ignored_input(part: PartGraph, run: Callable[[Feed], Feed], samples: Sequence[Feed]) -> str | None:
    """An input that changes no output of the part in any sample, whatever value it gets."""
    waiting = set(part.reads)
    for place, sample in enumerate(samples[:SAMPLES]):
        before = run(sample)
        others = [*samples[place + 1 :], *samples[:place]]
        for name in sorted(waiting):
            values = _other_values(sample[name], [other[name] for other in others])
            if any(_changes(before, run, {**sample, name: value}) for value in values):
                waiting.remove(name)
        if not waiting:
            return None
    return min(waiting, default=None)


def _other_values(value: Array, others: Sequence[Array]) -> Iterator[Array]:
    """Values that differ from `value` and are valid where it is: of real samples first, then made from its own.

    The made ones are for an input that is the same in all samples: a text, a mask, the presence, an empty state.
    """
    yield from islice((o for o in others if o.shape == value.shape and not np.array_equal(o, value)), SWAPS)
    if not value.size:
        return
    first_half = (np.arange(value.size) < value.size // 2).reshape(value.shape)
    wide = value.astype(np.float64 if value.dtype.kind == "f" else np.int64)
    mirrored = (wide.min() + wide.max() - wide).astype(value.dtype)
    made = [value * first_half, value * ~first_half, np.flip(value), mirrored]
    made += [np.zeros_like(value), np.ones_like(value)]
    yield from (item for item in made if not np.array_equal(item, value))


def _changes(before: Feed, run: Callable[[Feed], Feed], feed: Feed) -> bool:
    """An error or an output that is not finite proves nothing: the graph may not accept a value that was made here."""
    try:
        after = run(feed)
    except WorkFailedError:
        return False
    return any(
        bool(np.isfinite(after[name].astype(np.float64)).all())
        and relative_error(after[name], before[name]) > LEAST_CHANGE
        for name in before
    )
