"""TensorRT-RTX engines ahead of time, without a GPU: the runtime's own builder, aimed at a GPU that is elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mm_edge.errors import EngineError, MissingExtraError, UsageError
from mm_edge.runtime.engines.building import Watch
from mm_edge.runtime.engines.tensorrt.build import build_engine as build
from mm_edge.runtime.engines.tensorrt.library import load_library
from mm_edge.runtime.engines.tensorrt.order import Limits, Options, Order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.bundle.manifest import Precision
    from mm_edge.runtime.engines.tensorrt.library import Library
    from mm_edge.runtime.engines.tensorrt.order import Ends
    from mm_edge.spec import Bounds

KIND: Literal["tensorrt-rtx"] = "tensorrt-rtx"
ONE = (1, 1, 1)  # of a dimension that has no bounds in the manifest


@dataclass(frozen=True)
class Target:
    """A family of GPUs to build for, as the command line names it: tensorrt-rtx:sm86."""

    capability: str

    @classmethod
    def read(cls, text: str) -> list[Target]:
        kind, _, rest = text.partition(":")
        capabilities = [word.strip().lower() for word in rest.split(",")]
        if kind != KIND or not all(re.fullmatch(r"sm\d{2,3}", word) for word in capabilities):
            raise UsageError(
                f"'{text}' is no target",
                action="reading --target",
                hint="Give tensorrt-rtx:sm86, or several: tensorrt-rtx:sm86,sm89",
            )
        return [cls(word) for word in capabilities]


def load_rtx() -> Library:
    try:
        return load_library(KIND)
    except EngineError:
        raise MissingExtraError("tensorrt-rtx", "tensorrt-rtx") from None


def build_engine(path: Path, precision: Precision, target: Target, part: Ends, dims: Mapping[str, Bounds]) -> bytes:
    """The engine of one artefact of `part`."""
    order = Order(part, precision, path.read_bytes(), _limits(part, dims), Options(capability=target.capability))
    return build(load_rtx(), order, Watch()).engine


def _limits(part: Ends, dims: Mapping[str, Bounds]) -> dict[str, Limits]:
    bounds = {name: (each.least, each.usual, each.most) for name, each in dims.items()}
    limits = {}
    for tensor in part.takes:
        sizes = [(dim, dim, dim) if isinstance(dim, int) else bounds.get(dim, ONE) for dim in tensor.shape]
        limits[tensor.name] = Limits(*(tuple(size[place] for size in sizes) for place in range(3)))
    return limits
