"""Objects with boxes: each candidate's best label, non-maximum suppression by label, pixels of the source frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .activation import activate, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import BoxesOutput

    from .context import DecodeContext, Geometry

# Suppression is quadratic in the candidates: 1.5 ms for 300, 12 ms for 1000, 216 ms for 5000. If more pass the score
# threshold, only the best are kept.
MOST_CANDIDATES = 1000


class BoxesDecoder:
    """`[{"box": [x0, y0, x1, y1], "label": "ball", "score": 0.9}, …]`, best first, cut to the frame."""

    def __init__(self, output: BoxesOutput, size: tuple[int, int]) -> None:
        self.name = output.name
        self._output = output
        height, width = size
        unit = output.scale == "unit"
        self._scale = np.array([width, height, width, height], np.float32) if unit else np.ones(4, np.float32)

    def decode(self, arrays: Mapping[str, NDArray[Any]], context: DecodeContext) -> list[dict[str, Any]]:
        geometry = context.geometry.get(self._output.input)
        if geometry is None:
            return []
        scores = arrays["scores"][0]
        label = scores.argmax(axis=1)
        best = activate(scores[np.arange(len(label)), label], self._output.activation)
        # A NaN never passes the threshold, so it is checked explicitly: argmax returns a row's first NaN.
        finite(best, self.name)
        chosen = np.flatnonzero(best >= self._output.score_threshold)
        corners = self._corners(finite(arrays["boxes"][0][chosen], self.name))
        kept = suppress(corners, best[chosen], label[chosen], self._output.overlap_threshold)[: self._output.most]
        return [
            {
                "box": _in_frame(corners[i].tolist(), geometry),
                "label": self._output.labels[label[chosen[i]]],
                "score": float(best[chosen[i]]),
            }
            for i in kept
        ]

    def _corners(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        """x0, y0, x1, y1 in prepared pixels."""
        scaled = boxes.astype(np.float32) * self._scale
        if self._output.layout == "cxcywh":
            half = scaled[:, 2:] / 2
            scaled = np.concatenate([scaled[:, :2] - half, scaled[:, :2] + half], axis=1)
        return scaled


def suppress(
    corners: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[Any], overlap: float
) -> list[int]:
    """Indices kept, best first: of two boxes of one label that overlap by more than `overlap`, the better one."""
    if len(corners) < 2:
        return list(range(len(corners)))
    import cv2

    sized = corners.copy()
    sized[:, 2:] -= sized[:, :2]
    batched: Any = cv2.dnn.NMSBoxesBatched  # accepts arrays, although its stubs require lists
    kept = batched(sized, scores, labels.astype(np.int32), 0.0, overlap, 1.0, MOST_CANDIDATES)
    return [int(index) for index in kept]


def _in_frame(corners: list[float], geometry: Geometry) -> list[float]:
    height, width = geometry.source_size
    x0, y0 = geometry.to_source(corners[0], corners[1])
    x1, y1 = geometry.to_source(corners[2], corners[3])
    limits = ((x0, width), (y0, height), (x1, width), (y1, height))
    return [round(min(max(value, 0.0), float(limit)), 2) for value, limit in limits]
