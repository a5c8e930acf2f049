"""Resizes an image to a model's input: uint8, in the model's channel order, in the caller's buffer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mm_edge.errors import InputError
from mm_edge.runtime.picture import Planes
from mm_edge.spec import ImageInput, TensorSpec, VideoPrepare

from .geometry import Geometry, fitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import ImagePrepare

HALVE_FROM = 4
MOST_GEOMETRIES = 64  # cached source sizes; a source rarely changes its size


class ImagePreparer:
    """Writes [1, height, width, 3]."""

    in_order = False

    def __init__(self, spec: ImageInput) -> None:
        self.fields = {"": TensorSpec(spec.name, spec.dtype, spec.shape)}
        self._resizer = Resizer(spec.prepare)

    def check(self, payload: Any, rows: int) -> None:
        del rows
        check_picture(payload)

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> Geometry:
        return self._resizer.write(payload, arrays[""][0])


class Resizer:
    """Resizes an image to a smaller one.

    Bilinear downscaling reads 2x2 pixels per output pixel and skips the rest. To avoid aliasing, an image that shrinks
    by more than HALVE_FROM in both directions is first halved repeatedly by averaging 2x2. INTER_AREA would average
    exactly, at fifteen times the cost (measured by benchmarks/studies/live/preparing.py). Channels are converted last,
    on the small image: swapped, or computed from planes that were each downscaled separately.
    """

    def __init__(self, prepare: ImagePrepare | VideoPrepare) -> None:
        # One thread: waking more costs more than such a small image gains, and takes cores from the workers.
        cv2.setNumThreads(1)
        self._fit, self._pad, self._swap = prepare.fit, prepare.pad, prepare.color == "rgb"
        self._size = prepare.size
        self._scratch = threading.local()  # per thread, since several moments are prepared at once
        self._geometries: dict[tuple[int, int], Geometry] = {}

    def write(self, picture: Any, out: NDArray[np.uint8]) -> Geometry:
        """Into `out`, uint8 [height, width, 3]."""
        check_picture(picture)
        geometry = self._geometry(picture.shape[:2])
        left, top, width, height = geometry.prepared_box
        into = out
        if geometry.prepared_size != (height, width):
            for bar in (out[:top], out[top + height :], out[:, :left], out[:, left + width :]):
                bar[:] = self._pad
            into = out[top : top + height, left : left + width]
        left, top, width, height = geometry.source_box
        if isinstance(picture, Planes):
            mix = picture.colours.rgb if self._swap else picture.colours.bgr
            self._mix(picture.within(left, top, width, height), mix, into)
        else:
            self._resize(picture[top : top + height, left : left + width], into)
        return geometry

    def _geometry(self, size: tuple[int, int]) -> Geometry:
        known = self._geometries.get(size)
        if known is None:
            if len(self._geometries) >= MOST_GEOMETRIES:
                self._geometries.clear()
            known = self._geometries[size] = fitted(self._fit, size, self._size)
        return known

    def _resize(self, picture: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
        if not self._swap:
            self._shrink(picture, into)
            return
        if picture.shape != into.shape:
            small = self._kept(into.shape)
            self._shrink(picture, small)
            picture = small
        cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=into)

    def _mix(self, planes: list[NDArray[np.uint8]], mix: NDArray[np.float32], into: NDArray[np.uint8]) -> None:
        height, width = into.shape[:2]
        small = list(self._kept((3, height, width)))
        for plane, shrunk in zip(planes, small, strict=True):
            self._shrink(plane, shrunk)
        cv2.transform(cv2.merge(small, dst=self._kept(into.shape)), mix, dst=into)

    def _shrink(self, picture: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
        height, width = into.shape[:2]
        while picture.shape[0] >= HALVE_FROM * height and picture.shape[1] >= HALVE_FROM * width:
            half = self._kept((picture.shape[0] // 2, picture.shape[1] // 2, *picture.shape[2:]))
            even = picture[: 2 * half.shape[0], : 2 * half.shape[1]]
            picture = cv2.resize(even, half.shape[1::-1], dst=half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        cv2.resize(picture, (width, height), dst=into)

    def _kept(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """This thread's scratch buffer of that shape; a source needs two or three."""
        try:
            scratch: dict[tuple[int, ...], NDArray[np.uint8]] = self._scratch.pictures
        except AttributeError:
            scratch = self._scratch.pictures = {}
        kept = scratch.get(shape)
        if kept is None:
            if len(scratch) >= MOST_GEOMETRIES:
                scratch.clear()
            kept = scratch[shape] = np.empty(shape, np.uint8)
        return kept


def check_picture(picture: Any) -> None:
    if isinstance(picture, Planes):
        return
    if not isinstance(picture, np.ndarray):
        found = f"got {type(picture).__name__}"
    elif picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        found = f"got an array {picture.dtype} {list(picture.shape)}"
    else:
        return
    raise InputError(
        f"expected a BGR image uint8 [height, width, 3], {found}",
        action="preparing an image",
        hint="Use cv2.imread, or cv2.cvtColor(image, cv2.COLOR_RGB2BGR) or COLOR_GRAY2BGR",
    )
