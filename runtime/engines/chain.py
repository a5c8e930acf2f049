"""The parts of a bundle run one after the other on golden inputs: for the golden check, and to compare engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tensors import fixed_shapes, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from mm_edge.bundle.manifest import Manifest, Part
    from mm_edge.runtime.engine import Buffer, Engine, Executable, Slot, Value


def is_plain(part: Part) -> bool:
    """It reads no history and is not run token by token, so that golden values exist for it."""
    return all(read.history == 1 and read.source != "loop:token" for read in part.reads.values())


class Chain:
    """Each part reads the outputs of the parts before it in place: on a device nothing is copied back in between."""

    def __init__(self, manifest: Manifest, engine: Engine, executables: Mapping[str, Executable]) -> None:
        self._manifest, self._executables = manifest, executables
        self._slots: dict[str, Slot] = {part.name: executables[part.name].slot() for part in manifest.parts}
        self._buffers: dict[str, Buffer] = {}
        for part in manifest.parts:
            shapes = fixed_shapes(manifest, part)
            for tensor in part.takes:
                source = part.reads[tensor.name].source
                if not source.startswith("part:") and source not in self._buffers:
                    self._buffers[source] = engine.buffer(shapes[tensor.name], numpy_dtype(tensor.dtype))

    def put(self, tensors: Mapping[str, NDArray[Any]], sample: int) -> None:
        """The inputs of a golden sample; states are zeros."""
        for source, buffer in self._buffers.items():
            buffer.wait_until_read()
            buffer.array[...] = 0 if source.startswith("state:") else tensors[f"{sample}/{source}"]

    def run(self, only: Collection[str] | None = None) -> None:
        """All parts, or some of them on what the others gave before."""
        for part in self._manifest.parts:
            if only is None or part.name in only:
                self._slots[part.name].run([self.value(part.reads[tensor.name].source) for tensor in part.takes])

    def value(self, source: str) -> Value:
        if not source.startswith("part:"):
            return self._buffers[source]
        name, _, output = source.removeprefix("part:").partition(".")
        return self._slots[name].outputs[output]

    def release(self) -> None:
        """Frees the slots before the executables are closed."""
        for name, slot in self._slots.items():
            self._executables[name].release(slot)
