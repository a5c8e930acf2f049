"""How often the right answer is given, where the right answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mm_edge.spec import ClassesOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import Labelled
    from mm_edge.spec import OutputSpec


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
