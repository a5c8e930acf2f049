"""The relative error of a tensor: one definition for the export's parity and for the golden check on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR_RMS = 1e-5  # a tensor with a smaller root mean square counts as zero, and its differences as rounding


def relative_error(got: NDArray[Any], wanted: NDArray[Any], scale: float = 0.0) -> float:
    """The norm of the difference over the norm of the reference, or over `scale` if that is larger.

    Infinite if the shapes differ, or if a value is not finite and the arrays are not equal.
    """
    if got.shape != wanted.shape:
        return float("inf")
    a, b = got.astype(np.float64), wanted.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0 if np.array_equal(a, b) else float("inf")
    floor = FLOOR_RMS * float(np.sqrt(max(b.size, 1)))
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), scale, floor)
