"""Scores by label: one of several (`classes`) or any of several (`labels`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .activation import activate, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import ClassesOutput, LabelsOutput

    from .context import DecodeContext


MOST_SCORES = 20  # a thousand labels would make every line of a log 25 kB, and take longer than a small model


class ClassesDecoder:
    """`{"label": "stop", "score": 0.97, "scores": {"stop": 0.97, …}}`; of equals the first label wins.

    With more than MOST_SCORES labels, `scores` holds the best ones, best first.
    """

    def __init__(self, output: ClassesOutput) -> None:
        self.name = output.name
        self._labels, self._activation = output.labels, output.activation

    def decode(self, arrays: Mapping[str, NDArray[Any]], _context: DecodeContext) -> dict[str, Any]:
        scores = activate(finite(arrays["logits"][0], self.name), self._activation)
        best = int(scores.argmax())
        if len(self._labels) <= MOST_SCORES:
            told = dict(zip(self._labels, scores.tolist(), strict=True))
        else:
            top = np.argpartition(scores, -MOST_SCORES)[-MOST_SCORES:]
            ranked = sorted(zip((-scores[top]).tolist(), top.tolist(), strict=True))
            told = {self._labels[index]: -score for score, index in ranked}
        return {"label": self._labels[best], "score": float(scores[best]), "scores": told}


class LabelsDecoder:
    """`{"alarm": 0.91, "speech": 0.07}`."""

    def __init__(self, output: LabelsOutput) -> None:
        self.name = output.name
        self._labels, self._activation = output.labels, output.activation

    def decode(self, arrays: Mapping[str, NDArray[Any]], _context: DecodeContext) -> dict[str, float]:
        scores = activate(finite(arrays["logits"][0], self.name), self._activation)
        return dict(zip(self._labels, scores.tolist(), strict=True))
