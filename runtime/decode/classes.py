"""Scores by label: one of several (`classes`) or any of several (`labels`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .activation import activate, activate_some, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import ClassesOutput, LabelsOutput

    from .context import DecodeContext


MOST_SCORES = 20  # a thousand labels would make every log line 25 kB and take longer than a small model


class ClassesDecoder:
    """`{"label": "stop", "score": 0.97, "scores": {"stop": 0.97, …}}`; on a tie the first label wins.

    With more than MOST_SCORES labels, `scores` holds the best ones, best first.
    """

    def __init__(self, output: ClassesOutput) -> None:
        self.name = output.name
        self._labels, self._activation = output.labels, output.activation

    def decode(self, arrays: Mapping[str, NDArray[Any]], _context: DecodeContext) -> dict[str, Any]:
        logits = finite(np.asarray(arrays["logits"][0], np.float32), self.name)
        best = int(logits.argmax())
        if len(self._labels) <= MOST_SCORES:
            scores = activate(logits, self._activation).tolist()
            best_scores, score = dict(zip(self._labels, scores, strict=True)), scores[best]
        else:
            order = logits.argsort()[: -MOST_SCORES - 1 : -1].tolist()
            if order[0] != best:  # a tie
                order = [best, *(index for index in order if index != best)][:MOST_SCORES]
            scores = activate_some(logits, order, self._activation)
            best_scores, score = (
                {self._labels[index]: score for index, score in zip(order, scores, strict=True)},
                scores[0],
            )
        return {"label": self._labels[best], "score": score, "scores": best_scores}


class LabelsDecoder:
    """`{"alarm": 0.91, "speech": 0.07}`."""

    def __init__(self, output: LabelsOutput) -> None:
        self.name = output.name
        self._labels, self._activation = output.labels, output.activation

    def decode(self, arrays: Mapping[str, NDArray[Any]], _context: DecodeContext) -> dict[str, float]:
        scores = activate(finite(arrays["logits"][0], self.name), self._activation)
        return dict(zip(self._labels, scores.tolist(), strict=True))
