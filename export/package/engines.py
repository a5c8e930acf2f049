"""Builds the engines of the recipe's targets: every part as a GPU would take it, and in int8 where there is one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mm_edge.bundle.manifest import EngineFile

from .engine_build import KIND, Target, build_engine, load_rtx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.progress import Progress
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import Split
    from mm_edge.spec import Bounds

    from .made import Made


def build_all(
    split: Split, made: Made, dims: Mapping[str, Bounds], recipe: Recipe, progress: Progress
) -> dict[str, list[tuple[EngineFile, bytes]]]:
    """The engines by part, each with its record for the manifest."""
    targets = [target for text in recipe.targets for target in Target.read(text)]
    if not targets:
        return {}
    version = load_rtx().version
    built: dict[str, list[tuple[EngineFile, bytes]]] = {}
    for part in split.parts:
        for target in targets:
            for precision in _precisions(made, part.name):
                with progress.step(f"{KIND} {part.name} {precision} {target.capability}"):
                    content = build_engine(made.paths[part.name][precision], precision, target, part, dims)
                file = f"engines/{part.name}.{precision}.{target.capability}.{KIND}-{version}.engine"
                record = EngineFile(
                    KIND, target.capability, version, precision, file, hashlib.sha256(content).hexdigest()
                )
                built.setdefault(part.name, []).append((record, content))
    return built


def _precisions(made: Made, part: str) -> list[Precision]:
    preferred = made.preferred["gpu"][part]
    return [preferred, "int8-trt"] if "int8-trt" in made.paths[part] else [preferred]
