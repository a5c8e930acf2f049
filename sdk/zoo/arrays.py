"""Arrays by what is in them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Picture: TypeAlias = npt.NDArray[np.uint8]  # [height, width, 3] RGB, or [height, width] of ids
