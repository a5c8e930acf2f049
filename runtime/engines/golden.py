"""The golden check: an engine is let run a bundle only after it gave, here, what the export gave for the same
inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from mm_edge.errors import EngineError

from .tensors import fixed_shapes, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Part
    from mm_edge.runtime.engine import Buffer, Engine, Executable, Slot, Value

CHAIN = "chain"
SLACK = 2.0  # how much worse than at the export a reduced precision may be on another machine


class Shown(Struct, frozen=True):
    """What one part showed, or the chain of them: its worst output over all golden samples."""

    part: str
    precision: str
    tensor: str
    relative_error: float  # norm of the difference over norm of the reference
    allowed: float

    @property
    def passed(self) -> bool:
        return self.relative_error <= self.allowed

    def __str__(self) -> str:
        of = "the chained parts" if self.part == CHAIN else f"the part '{self.part}'"
        off, allowed = f"{self.relative_error:.2g}", f"{self.allowed:.2g}"
        return f"'{self.tensor}' of {of} in {self.precision} is off by {off}, allowed is {allowed}"


def measure_golden(
    bundle: Bundle, engine: Engine, executables: Mapping[str, Executable], tolerance: float
) -> list[Shown]:
    """What every part shows on its own, and what the chain shows at the model's outputs, be it good or bad.

    Parts that read a history or run token by token have no golden values of their own and are left out; so is a chain
    that has one.
    """
    golden = bundle.manifest.golden
    if golden is None:
        raise EngineError(
            "the bundle holds no golden values to check against",
            action=f"the golden check of '{bundle.manifest.name}' on {engine.name}",
            hint="Export it again, or run it with --engine onnxruntime",
        )
    from safetensors.numpy import load

    tensors = load(bundle.read(golden.file))
    plain = [part for part in bundle.manifest.parts if _is_plain(part)]
    shown = []
    engine.attach()
    try:
        for part in plain:
            loss = _loss_at_export(bundle, f"part:{part.name}", {executables[part.name].precision})
            shown.append(_check_part(bundle, engine, executables[part.name], tensors, max(tolerance, SLACK * loss)))
        if len(plain) == len(bundle.manifest.parts) > 1:
            loss = _loss_at_export(bundle, CHAIN, {executables[part.name].precision for part in plain})
            shown.append(_check_chain(bundle, engine, executables, tensors, max(tolerance, SLACK * loss)))
    finally:
        engine.detach()
    return shown


def _is_plain(part: Part) -> bool:
    return all(read.history == 1 and read.source != "loop:token" for read in part.reads.values())


def _check_part(
    bundle: Bundle, engine: Engine, executable: Executable, tensors: Mapping[str, NDArray[Any]], allowed: float
) -> Shown:
    part, shapes = executable.part, fixed_shapes(bundle.manifest, executable.part)
    slot = executable.slot([tensor.name for tensor in part.gives])
    buffers = [engine.buffer(shapes[tensor.name], numpy_dtype(tensor.dtype)) for tensor in part.takes]
    worst, named = 0.0, part.gives[0].name
    for sample in range(bundle.manifest.golden.samples if bundle.manifest.golden else 0):
        for tensor, buffer in zip(part.takes, buffers, strict=True):
            buffer.wait_until_read()
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
    executable.release(slot)
    return Shown(part.name, executable.precision, named, worst, allowed)


def _check_chain(
    bundle: Bundle,
    engine: Engine,
    executables: Mapping[str, Executable],
    tensors: Mapping[str, NDArray[Any]],
    allowed: float,
) -> Shown:
    """Each part reads what the parts before it gave, where they left it: on a device nothing comes back in between."""
    manifest = bundle.manifest
    slots = {part.name: executables[part.name].slot() for part in manifest.parts}
    buffers: dict[str, Buffer] = {}
    for part in manifest.parts:
        shapes = fixed_shapes(manifest, part)
        for tensor in part.takes:
            source = part.reads[tensor.name].source
            if not source.startswith("part:") and source not in buffers:
                buffers[source] = engine.buffer(shapes[tensor.name], numpy_dtype(tensor.dtype))
    wanted = sorted({source for output in manifest.outputs for source in output.reads.values()})
    worst, named = 0.0, wanted[0]
    for sample in range(manifest.golden.samples if manifest.golden else 0):
        for source, buffer in buffers.items():
            buffer.wait_until_read()
            buffer.array[...] = 0 if source.startswith("state:") else tensors[f"{sample}/{source}"]
        for part in manifest.parts:
            slots[part.name].run([_value(part.reads[tensor.name].source, buffers, slots) for tensor in part.takes])
        for source in wanted:
            error = _relative_error(_value(source, buffers, slots).host(), tensors[f"{sample}/{source}"])
            if not error <= worst:  # so that NaN counts as the worst
                worst, named = error, source
    for name, slot in slots.items():
        executables[name].release(slot)
    precisions = "+".join(sorted({executables[part.name].precision for part in manifest.parts}))
    return Shown(CHAIN, precisions, named.partition(".")[2], worst, allowed)


def _value(source: str, buffers: Mapping[str, Buffer], slots: Mapping[str, Slot]) -> Value:
    if not source.startswith("part:"):
        return buffers[source]
    name, _, output = source.removeprefix("part:").partition(".")
    return slots[name].outputs[output]


def _relative_error(given: NDArray[Any], reference: NDArray[Any]) -> float:
    wanted = reference.astype(np.float64)
    difference = np.linalg.norm((given.astype(np.float64) - wanted).ravel())
    return float(difference / max(float(np.linalg.norm(wanted.ravel())), 1e-12))


def _loss_at_export(bundle: Bundle, scope: str, precisions: set[str]) -> float:
    rows = [row for row in bundle.manifest.parity if row.scope == scope and row.precision in precisions]
    return max((row.relative_error for row in rows), default=0.0)
