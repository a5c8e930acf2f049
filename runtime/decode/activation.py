"""Converts logits to scores between 0 and 1, and checks that they are finite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Activation: TypeAlias = Literal["softmax", "sigmoid", "none"]


def activate(logits: NDArray[Any], activation: Activation) -> NDArray[np.float32]:
    """In float32 for any type of graph, without overflow for large logits."""
    values: NDArray[np.float32] = np.asarray(logits, np.float32)
    if activation == "softmax":
        values = np.exp(values - values.max(axis=-1, keepdims=True))
        values /= values.sum(axis=-1, keepdims=True)
    elif activation == "sigmoid":
        values = np.float32(0.5) * np.tanh(np.float32(0.5) * values) + np.float32(0.5)
    return values


def activate_some(logits: NDArray[np.float32], chosen: list[int], activation: Activation) -> list[float]:
    """The scores of a few of many, the largest first. Only the sum of a softmax needs the others."""
    if activation != "softmax":
        scores: list[float] = activate(logits[chosen], activation).tolist()
        return scores
    shares = np.exp(logits - logits[chosen[0]])
    total = float(np.add.reduce(shares))
    return [shares.item(index) / total for index in chosen]


def finite(values: NDArray[Any], output: str) -> NDArray[Any]:
    """Rejects NaN and infinity: a label decoded from them would look like a valid result."""
    # A softmax needs the maximum anyway; next to a large model any other check costs 0.05 ms.
    if values.size and not (math.isfinite(values.max()) and math.isfinite(values.min())):
        raise WorkFailedError(
            "the model returned a value that is not finite",
            action=f"decoding the output '{output}'",
            hint="Try another precision (--precision fp32), or export the bundle again and check its parity report",
        )
    return values
