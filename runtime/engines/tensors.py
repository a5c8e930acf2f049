"""Element types and shapes of tensors as numpy has them, and the check of an input before an engine gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mm_edge.bundle.manifest import Manifest, Part
    from mm_edge.spec import DType


def numpy_dtype(name: DType) -> np.dtype[Any]:
    return np.dtype(name)


def fixed_shapes(manifest: Manifest, part: Part) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a part as the live loop uses it, by name."""
    return {tensor.name: manifest.fixed(tensor.shape) for tensor in (*part.takes, *part.gives)}


def check_tensor(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raises an InputError that names both shapes and types."""
    if array.shape != shape or array.dtype != dtype:
        raise InputError(
            f"found {array.dtype} {list(array.shape)}",
            action=f"the input '{name}' expects {dtype} {list(shape)}",
            hint="Convert it to that type and shape",
        )
