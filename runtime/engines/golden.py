"""The golden check: an engine may run a bundle only if it reproduces, on this machine, the outputs of the export."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from mm_edge.errors import EngineError

from .chain import Chain, is_plain
from .golden_values import load_golden
from .relative_error import relative_error
from .tensors import fixed_shapes, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.runtime.engine import Engine, Executable

CHAIN = "chain"
MOST_LOSS = 0.5  # that counts: the largest --tolerance; a bundle that claims more could justify any output
SLACK = 2.0  # how much larger the error of a reduced precision may be on another machine than at the export


class GoldenResult(Struct, frozen=True):
    """The result of one part, or of all parts chained: its worst output over all golden samples."""

    part: str
    precision: str
    tensor: str
    relative_error: float
    allowed: float

    @property
    def passed(self) -> bool:
        return math.isfinite(self.relative_error) and self.relative_error <= self.allowed

    def __str__(self) -> str:
        of = "the chained parts" if self.part == CHAIN else f"the part '{self.part}'"
        error, allowed = f"{self.relative_error:.2g}", f"{self.allowed:.2g}"
        return f"'{self.tensor}' of {of} in {self.precision} has a relative error of {error}, allowed is {allowed}"


def measure_golden(
    bundle: Bundle, engine: Engine, executables: Mapping[str, Executable], tolerance: float
) -> list[GoldenResult]:
    """The result of each part alone and of the chained parts at the model's outputs, passed or not.

    Parts that read a history or run token by token have no golden values and are left out; so is a chain that contains
    one.
    """
    golden = bundle.manifest.golden
    if golden is None:
        raise EngineError(
            "the bundle has no golden values",
            action=f"the golden check of '{bundle.manifest.name}' on {engine.name}",
            hint="Export it again, or run it with --engine onnxruntime",
        )
    tensors = load_golden(bundle, golden)
    plain = [part for part in bundle.manifest.parts if is_plain(part)]
    results = []
    engine.attach()
    try:
        for part in plain:
            loss = _loss_at_export(bundle, f"part:{part.name}", {executables[part.name].precision})
            allowed = max(tolerance, SLACK * loss)
            results.append(_check_part(bundle, engine, executables[part.name], tensors, allowed))
        if len(plain) == len(bundle.manifest.parts) > 1:
            loss = _loss_at_export(bundle, CHAIN, {executables[part.name].precision for part in plain})
            results.append(_check_chain(bundle, engine, executables, tensors, max(tolerance, SLACK * loss)))
    finally:
        engine.detach()
    return results


class _Worst:
    """The largest error so far, and its tensor."""

    def __init__(self, tensor: str) -> None:
        self.tensor, self.error = tensor, 0.0

    def add(self, tensor: str, given: NDArray[Any], reference: NDArray[Any]) -> None:
        """A value that is not finite is infinitely wrong, whatever the reference and the other samples are."""
        error = relative_error(given, reference) if np.isfinite(given).all() else float("inf")
        if error > self.error:
            self.tensor, self.error = tensor, error


def _check_part(
    bundle: Bundle, engine: Engine, executable: Executable, tensors: Mapping[str, NDArray[Any]], allowed: float
) -> GoldenResult:
    part, shapes = executable.part, fixed_shapes(bundle.manifest, executable.part)
    slot = executable.slot([tensor.name for tensor in part.gives])
    buffers = [engine.buffer(shapes[tensor.name], numpy_dtype(tensor.dtype)) for tensor in part.takes]
    worst = _Worst(part.gives[0].name)
    for sample in range(bundle.manifest.golden.samples if bundle.manifest.golden else 0):
        for tensor, buffer in zip(part.takes, buffers, strict=True):
            buffer.wait_until_read()
            source = part.reads[tensor.name].source
            # A state is zero at first, and has no golden value.
            buffer.array[...] = 0 if source.startswith("state:") else tensors[f"{sample}/{source}"]
        slot.run(buffers)
        for tensor in part.gives:
            reference = tensors[f"{sample}/part:{part.name}.{tensor.name}"]
            worst.add(tensor.name, slot.outputs[tensor.name].host(), reference)
    executable.release(slot)
    return GoldenResult(part.name, executable.precision, worst.tensor, worst.error, allowed)


def _check_chain(
    bundle: Bundle,
    engine: Engine,
    executables: Mapping[str, Executable],
    tensors: Mapping[str, NDArray[Any]],
    allowed: float,
) -> GoldenResult:
    manifest = bundle.manifest
    wanted = sorted({source for output in manifest.outputs for source in output.reads.values()})
    worst = _Worst(wanted[0])
    chain = Chain(manifest, engine, executables)
    for sample in range(manifest.golden.samples if manifest.golden else 0):
        chain.put(tensors, sample)
        chain.run()
        for source in wanted:
            worst.add(source, chain.value(source).host(), tensors[f"{sample}/{source}"])
    chain.release()
    precisions = "+".join(sorted({executables[part.name].precision for part in manifest.parts}))
    return GoldenResult(CHAIN, precisions, worst.tensor.partition(".")[2], worst.error, allowed)


def _loss_at_export(bundle: Bundle, scope: str, precisions: set[str]) -> float:
    rows = [row for row in bundle.manifest.parity if row.scope == scope and row.precision in precisions]
    return min(MOST_LOSS, max((row.relative_error for row in rows), default=0.0))
