"""Array types by content, and the mappings that models take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Picture: TypeAlias = npt.NDArray[np.uint8]  # [height, width, 3] RGB, or [height, width] of ids
Feeds: TypeAlias = Mapping[str, npt.NDArray[Any]]  # a graph's inputs by name, of any batch
Predict: TypeAlias = Callable[[Feeds], Mapping[str, npt.NDArray[Any]]]  # feeds to the graph's outputs by name
