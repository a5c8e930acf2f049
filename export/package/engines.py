"""Builds TensorRT-RTX engines ahead of time, without a GPU, for the recipe's targets."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mm_edge.bundle.manifest import EngineFile
from mm_edge.errors import EngineError, MissingExtraError, UsageError
from mm_edge.runtime.engines.building import Watch
from mm_edge.runtime.engines.tensorrt.build import build_engine as build
from mm_edge.runtime.engines.tensorrt.library import load_library
from mm_edge.runtime.engines.tensorrt.order import Limits, Options, Order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.workspace import Workspace
    from mm_edge.runtime.engines.tensorrt.library import Library
    from mm_edge.runtime.engines.tensorrt.order import Ends
    from mm_edge.spec import Bounds

    from .verified_model import VerifiedModel

KIND: Literal["tensorrt-rtx"] = "tensorrt-rtx"
UNBOUNDED = (1, 1, 1)  # least, usual and most of a dimension without bounds in the manifest


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
                f"'{text}' is not a target",
                action="reading --target",
                hint="Use tensorrt-rtx:sm86, or several: tensorrt-rtx:sm86,sm89",
            )
        return [cls(word) for word in capabilities]


def load_rtx() -> Library:
    try:
        return load_library(KIND)
    except EngineError:
        raise MissingExtraError("tensorrt-rtx", "tensorrt-rtx") from None


def build_engines(verified: VerifiedModel, workspace: Workspace) -> dict[str, list[tuple[EngineFile, bytes]]]:
    """The engines by part, each with its record for the manifest: the precision a GPU prefers, and int8 if any."""
    targets = [target for text in workspace.recipe.targets for target in Target.read(text)]
    version, dims = load_rtx().version, verified.split.source.spec.dims
    built: dict[str, list[tuple[EngineFile, bytes]]] = {}
    for part in verified.split.parts:
        paths = verified.artefacts[part.name]
        preferred = verified.preferred["gpu"][part.name]
        precisions: list[Precision] = [preferred, "int8-trt"] if "int8-trt" in paths else [preferred]
        for target in targets:
            for precision in precisions:
                with workspace.progress.step(f"{KIND} {part.name} {precision} {target.capability}"):
                    content = build_engine(paths[precision], precision, target, part, dims)
                file = f"engines/{part.name}.{precision}.{target.capability}.{KIND}-{version}.engine"
                sha256 = hashlib.sha256(content).hexdigest()
                record = EngineFile(KIND, target.capability, version, precision, file, sha256)
                built.setdefault(part.name, []).append((record, content))
    return built


def build_engine(path: Path, precision: Precision, target: Target, part: Ends, dims: Mapping[str, Bounds]) -> bytes:
    """The engine of one artefact of `part`."""
    order = Order(part, precision, path.read_bytes(), _limits(part, dims), Options(capability=target.capability))
    return build(load_rtx(), order, Watch()).engine


def _limits(part: Ends, dims: Mapping[str, Bounds]) -> dict[str, Limits]:
    bounds = {name: (each.least, each.usual, each.most) for name, each in dims.items()}
    limits = {}
    for tensor in part.takes:
        sizes = [(dim, dim, dim) if isinstance(dim, int) else bounds.get(dim, UNBOUNDED) for dim in tensor.shape]
        limits[tensor.name] = Limits(*(tuple(size[place] for size in sizes) for place in range(3)))
    return limits
