"""Copies a sensor vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mm_edge.errors import InputError
from mm_edge.spec import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.spec import VectorInput


class VectorPreparer:
    """Writes [1, size]."""

    in_order = False

    def __init__(self, spec: VectorInput) -> None:
        self.fields = {"": TensorSpec(spec.name, spec.dtype, spec.shape)}
        self._name, self._size = spec.name, spec.prepare.size

    def check(self, payload: Any, rows: int) -> None:
        del rows
        numbers = np.asarray(payload)
        if numbers.shape != (self._size,) or not np.can_cast(numbers.dtype, np.float32, "same_kind"):
            raise InputError(
                f"expected float32 [{self._size}], got an array {numbers.dtype} {list(numbers.shape)}",
                action=f"preparing input '{self._name}'",
            )
        with np.errstate(over="ignore"):  # a larger number becomes infinite, and is refused
            if not np.isfinite(numbers.astype(np.float32, copy=False)).all():
                raise InputError(
                    "expected finite float32 numbers", action=f"preparing input '{self._name}'", hint="Check the sensor"
                )

    def write(self, payload: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.check(payload, 1)
        arrays[""][0] = payload
