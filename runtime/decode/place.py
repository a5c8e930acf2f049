"""A position in the image, from a heatmap (`heatmap`) or as two numbers (`point`).

`{"x": 412.7, "y": 96.2, "score": 0.9}` in pixels of the source frame. Below the score threshold x and y are null:
the keys stay, and a robot cannot steer to an undetected target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.sample import HeatMap

from .activation import activate, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import HeatmapOutput, PointOutput

    from .context import DecodeContext

LEAST_PROBABILITY = 1e-12  # keeps the logarithm of the peak's neighbors finite


class HeatmapDecoder:
    """The highest cell, refined to sub-cell precision by a parabola through its neighbors."""

    def __init__(self, output: HeatmapOutput, size: tuple[int, int]) -> None:
        self.name = output.name
        self._output, self._size = output, size

    def decode(self, arrays: Mapping[str, NDArray[Any]], context: DecodeContext) -> dict[str, float | None]:
        logits = finite(arrays["heatmap"][0], self.name)
        heat = activate(logits, self._output.activation)
        # The peak is taken from the logits: several saturated cells all round to 1 in the map.
        row, column = divmod(int(logits.argmax()), heat.shape[1])
        if "score" in arrays:
            score = float(activate(finite(arrays["score"][0], self.name), self._output.activation).reshape(()))
        else:
            score = float(heat[row, column])
        self._keep(heat, context)
        rows, columns = heat.shape
        x = (column + 0.5 + shift(heat[row], column)) * self._size[1] / columns
        y = (row + 0.5 + shift(heat[:, column], row)) * self._size[0] / rows
        return _place(x, y, score, self._output, context)

    def _keep(self, heat: NDArray[np.float32], context: DecodeContext) -> None:
        """Copies the map if it is still the engine's buffer, which the next moment overwrites."""
        geometry = context.geometry.get(self._output.input)
        if geometry is None:
            return
        height, width = self._size
        corners = (*geometry.to_source(0, 0), *geometry.to_source(width, height))
        context.maps[self.name] = HeatMap(heat.copy() if self._output.activation == "none" else heat, corners)


class PointDecoder:
    """Two numbers between 0 and 1."""

    def __init__(self, output: PointOutput, size: tuple[int, int]) -> None:
        self.name = output.name
        self._output, self._size = output, size

    def decode(self, arrays: Mapping[str, NDArray[Any]], context: DecodeContext) -> dict[str, float | None]:
        x, y = finite(arrays["point"][0], self.name).tolist()
        score = float(activate(finite(arrays["score"][0], self.name), self._output.activation).reshape(()))
        return _place(x * self._size[1], y * self._size[0], score, self._output, context)


def shift(line: NDArray[Any], peak: int) -> float:
    """The offset of the peak from its highest cell, in cells: exact for a Gaussian, at most half a cell."""
    if not 0 < peak < len(line) - 1:
        return 0.0
    left, top, right = np.log(np.maximum(line[peak - 1 : peak + 2], LEAST_PROBABILITY)).tolist()
    bend = left - 2 * top + right
    if bend >= 0:  # a flat peak cannot be refined
        return 0.0
    return float(min(max(0.5 * (left - right) / bend, -0.5), 0.5))


def _place(
    x: float, y: float, score: float, output: HeatmapOutput | PointOutput, context: DecodeContext
) -> dict[str, float | None]:
    geometry = context.geometry.get(output.input)
    if geometry is None or score < output.score_threshold:
        return {"x": None, "y": None, "score": score}
    height, width = geometry.source_size
    x, y = geometry.to_source(x, y)
    return {"x": round(min(max(x, 0.0), width), 2), "y": round(min(max(y, 0.0), height), 2), "score": score}
