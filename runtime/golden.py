"""The golden check: an engine is let run a bundle only after it gave, here, what the export gave for the same
inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from mm_edge.errors import EngineError

from .engines.tensors import fixed_shapes, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.bundle import Bundle
    from mm_edge.manifest import Part

    from .engine import Engine, Executable

SLACK = 2.0  # how much worse than at the export a reduced precision may be on another machine


class Shown(Struct, frozen=True):
    """What one part showed: its worst output over all golden samples."""

    part: str
    precision: str
    tensor: str
    relative_error: float  # norm of the difference over norm of the reference
    allowed: float


def check_golden(
    bundle: Bundle, engine: Engine, executables: Mapping[str, Executable], tolerance: float
) -> list[Shown]:
    """Runs every part on the golden inputs. Raises an EngineError that names the worst tensor where one is too far off.

    Parts that read a history or run token by token have no golden values of their own and are left out.
    """
    golden = bundle.manifest.golden
    asked = f"the golden check of '{bundle.manifest.name}' on {engine.name}"
    if golden is None:
        raise EngineError(
            "the bundle holds no golden values to check against",
            asked=asked,
            todo="Export it again, or run it with --engine onnxruntime",
        )
    from safetensors.numpy import load

    tensors = load(bundle.read(golden.file))
    shown = []
    engine.attach()
    try:
        for part in bundle.manifest.parts:
            if all(read.history == 1 and read.source != "loop:token" for read in part.reads.values()):
                loss = _loss_at_export(bundle, part, executables[part.name].precision)
                shown.append(_check_part(bundle, engine, executables[part.name], tensors, max(tolerance, SLACK * loss)))
    finally:
        engine.detach()
    worst = max(shown, key=lambda row: row.relative_error / row.allowed)
    if not worst.relative_error <= worst.allowed:
        raise EngineError(
            f"'{worst.tensor}' of the part '{worst.part}' in {worst.precision} is off by {worst.relative_error:.2g}, "
            f"allowed is {worst.allowed:.2g}",
            asked=asked,
            todo="Run it with --engine onnxruntime, or in another --precision",
        )
    return shown


def _check_part(
    bundle: Bundle, engine: Engine, executable: Executable, tensors: Mapping[str, NDArray[Any]], allowed: float
) -> Shown:
    part, shapes = executable.part, fixed_shapes(bundle.manifest, executable.part)
    slot = executable.slot()
    buffers = [engine.buffer(shapes[tensor.name], numpy_dtype(tensor.dtype)) for tensor in part.takes]
    worst, named = 0.0, part.gives[0].name
    for sample in range(bundle.manifest.golden.samples if bundle.manifest.golden else 0):
        for tensor, buffer in zip(part.takes, buffers, strict=True):
            source = part.reads[tensor.name].source
            # A state is zero at first, and its golden value is left out.
            buffer.array[...] = 0 if source.startswith("state:") else tensors[f"{sample}/{source}"]
        slot.run(buffers)
        for tensor in part.gives:
            error = _relative_error(
                slot.outputs[tensor.name].host(), tensors[f"{sample}/part:{part.name}.{tensor.name}"]
            )
            if not error <= worst:  # so that NaN counts as the worst
                worst, named = error, tensor.name
    return Shown(part.name, executable.precision, named, worst, allowed)


def _relative_error(given: NDArray[Any], reference: NDArray[Any]) -> float:
    wanted = reference.astype(np.float64)
    difference = np.linalg.norm((given.astype(np.float64) - wanted).ravel())
    return float(difference / max(float(np.linalg.norm(wanted.ravel())), 1e-12))


def _loss_at_export(bundle: Bundle, part: Part, precision: str) -> float:
    rows = [row for row in bundle.manifest.parity if row.scope == f"part:{part.name}" and row.precision == precision]
    return max((row.relative_error for row in rows), default=0.0)
