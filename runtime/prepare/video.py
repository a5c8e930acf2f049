"""Keeps the last resized images and writes them in order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.spec import TensorSpec

from .image import Resizer, check_picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import VideoInput

    from .geometry import Geometry


class VideoPreparer:
    """Writes [1, frames, height, width, 3], oldest first. Until there are enough images the oldest is repeated.

    Called by one thread, in image order: each image is resized once and kept as long as it is needed.
    """

    in_order = True

    def __init__(self, spec: VideoInput) -> None:
        self.fields = {"": TensorSpec(spec.name, spec.dtype, spec.shape)}
        self._resizer = Resizer(spec.prepare)
        self._frames, self._stride = spec.prepare.frames, spec.prepare.stride
        self._shape = (*spec.prepare.size, 3)
        self._kept: deque[NDArray[np.uint8]] = deque(maxlen=(self._frames - 1) * self._stride + 1)

    def check(self, payload: Any, rows: int) -> None:
        del rows
        check_picture(payload)

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> Geometry:
        check_picture(payload)  # before an older image is given up for it
        full = len(self._kept) == self._kept.maxlen
        picture = self._kept.popleft() if full else np.empty(self._shape, np.uint8)
        geometry = self._resizer.write(payload, picture)
        self._kept.append(picture)
        newest = len(self._kept) - 1
        for place, frame in enumerate(arrays[""][0]):
            frame[:] = self._kept[max(0, newest - (self._frames - 1 - place) * self._stride)]
        return geometry
