"""Exports a model once for each state of the code, and keeps the bundle in the cache."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mm_edge.places import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = cache_folder("benchmarks")
IN_USE_S = 3600  # a run that started before the code changed may still use its files


def exported(name: str, make: Callable[[], Any], split: Literal["auto", "never"]) -> Path:
    """The bundle of a model; exported once for each state of the code that determines it, and cached."""
    import mm_edge
    from mm_edge import zoo
    from mm_edge.benchmarks.bench import frames
    from mm_edge.export import pipeline

    code = [
        *sorted(Path(__file__).parent.glob("*.py")),
        Path(frames.__file__),
        *sorted(Path(zoo.__file__).parent.rglob("*.py")),
        *sorted(Path(pipeline.__file__).parent.rglob("*.py")),
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:12]
    path = CACHE / f"{name}-{mm_edge.__version__}-{digest}.mmb"
    if not path.exists():
        from mm_edge.export.pipeline import export as export_bundle
        from mm_edge.export.recipe import Recipe
        from mm_edge.export.sources.torch_module import from_module

        module = make()
        export_bundle(
            from_module(module, module.spec, f"benchmarks.models:{name}"),
            path,
            Recipe(split=split, precisions=("fp32",)),
        )
    path.touch()
    remove_older(f"{name}-*.mmb", path)
    return path


def remove_older(pattern: str, newest: Path) -> None:
    """Removes cached files of earlier states of the code, except those that another run may still use."""
    for path in CACHE.glob(pattern):
        if path == newest or newest.stat().st_mtime - path.stat().st_mtime < IN_USE_S:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
