"""Verifies that every input matters: it changes an output of every part that reads it, and some part reads it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mm_edge.errors import WorkFailedError
from mm_edge.export.feeds import graph_inputs

from .parity import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.split.partition import PartGraph, SplitModel

LEAST_CHANGE = 1e-6  # relative; less is rounding
SAMPLES = 8  # to change an input of: it may be without effect in some, for example where another one is missing
SWAPS = 3  # with values of other samples, for each of these
HINT = (
    "No bundle was written. Look for a normalisation with a missing statistic or a scale of zero, or remove the input "
    "from the model and its spec"
)


def verify_inputs_are_read(split: SplitModel) -> None:
    """Raises for an input of the model that no part reads."""
    read = {read.source for part in split.parts for read in part.reads.values()}
    for tensor in graph_inputs(split.source.spec):
        (source,) = split.values_of({tensor.name: np.zeros(0)})
        if source not in read:
            raise WorkFailedError(f"no output depends on '{tensor.name}'", action="verifying the inputs", hint=HINT)


def verify_inputs(part: PartGraph, precision: str, run: Callable[[Feed], Feed], samples: Sequence[Feed]) -> None:
    """Raises for an input that the part ignores."""
    if (name := ignored_input(part, run, samples)) is not None:
        raise WorkFailedError(
            f"the input '{name}' of part '{part.name}' changes none of its outputs in {precision}",
            action="verifying the inputs",
            hint=HINT,
        )


def ignored_input(part: PartGraph, run: Callable[[Feed], Feed], samples: Sequence[Feed]) -> str | None:
    """An input that changes no output of the part in any sample, whatever value it gets."""
    waiting = set(part.reads)
    for place, sample in enumerate(samples[:SAMPLES]):
        before = run(sample)
        others = [*samples[place + 1 :], *samples[:place]]
        for name in sorted(waiting):
            values = _other_values(sample[name], [other[name] for other in others])
            if any(_changes(before, run({**sample, name: value})) for value in values):
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
    wide = value.astype(np.float64 if value.dtype.kind == "f" else np.int64)
    mirrored = (wide.min() + wide.max() - wide).astype(value.dtype)
    made = [np.flip(value), mirrored, np.zeros_like(value), np.ones_like(value)]
    yield from (item for item in made if not np.array_equal(item, value))


def _changes(before: Feed, after: Feed) -> bool:
    """An output that is not finite proves nothing: it may come from a value that was made here."""
    return any(
        bool(np.isfinite(after[name].astype(np.float64)).all())
        and relative_error(after[name], before[name]) > LEAST_CHANGE
        for name in before
    )
