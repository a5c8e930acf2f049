"""Makes bundles: any multi-input model in, one verified bundle out. It can be called: `mm_edge.export(...)`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .package.exported import Exported
    from .recipe import Method
    from .workspace import Progress


def export(
    source: Any,
    output: str | Path,
    *,
    precision: str | Sequence[str] = "auto",
    calibrate: str | Path | None = None,
    tolerance: float | None = None,
    sign: str | Path | None = None,
    targets: Sequence[str] = (),
    split: Literal["auto", "always", "never"] = "auto",
    method: Method = "minmax",
    samples: int = 32,
    keep_fp32: Sequence[str] = (),
    search_seconds: float = 60,
    spec: str | Path | None = None,
    report: str | Path | None = None,
    version: int = 1,
    seed: int = 0,
    threads: int = 1,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Converts a model into a bundle, as `mm-edge export` does, or raises an error and writes nothing.

    Args:
        source: What the command takes as SOURCE, for example "zoo:scout" or "model.onnx"; or a torch module with a
            `.spec` (mm_edge.ModelSpec), the pair (module, spec), or a function that returns either.
        output: A .mmb file, or a folder without that ending.
        precision: "auto", or the precisions to make: "fp32", "fp16", "int8", also as a list.
        calibrate: A folder of samples, or a take, to calibrate and verify on.
        tolerance: The largest relative error of a reduced precision.
        sign: The private key to sign with (`mm-edge keygen` makes one).
        targets: Engines to build ahead of time, for example "tensorrt-rtx:sm86".
        split: Whether the model is split by input.
        method: How int8 ranges are derived from the samples.
        samples: How many samples to calibrate on.
        keep_fp32: Names of nodes to keep in fp32.
        search_seconds: The time limit of each search for nodes that must stay fp32.
        spec: A TOML file with the inputs and outputs of an ONNX file.
        report: Also write the report to this HTML file.
        version: The version of the model; increase it with every release.
        seed: The random seed.
        threads: Threads per part while it is timed.
        trust_remote_code: Whether a Hugging Face model may run its own code.
        progress: Receives the steps; silent by default.

    Returns:
        The path, the manifest, what every precision was measured to lose, and the notes of the export.
    """
    from pathlib import Path

    from .pipeline import export as run_pipeline
    from .recipe import make_recipe
    from .sources.factory import from_python

    recipe = make_recipe(
        precision=precision,
        calibrate=calibrate,
        tolerance=tolerance,
        sign=sign,
        targets=targets,
        split=split,
        method=method,
        samples=samples,
        keep_fp32=keep_fp32,
        search_seconds=search_seconds,
        spec=spec,
        version=version,
        seed=seed,
        threads=threads,
        trust_remote_code=trust_remote_code,
    )
    model = source if isinstance(source, str) else lambda: from_python(source, recipe)
    return run_pipeline(model, Path(output), recipe, progress, Path(report) if report else None)


class _CallablePackage(ModuleType):
    """`mm_edge.export` names both this package and the function, whichever is imported first."""

    __call__ = staticmethod(export)


sys.modules[__name__].__class__ = _CallablePackage
