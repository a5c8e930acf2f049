"""The engine that all GPU libraries share: each library only brings its own way to compile a part."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from .executable import CudaExecutable
from .faults import DeviceLostError, abandon
from .history import DeviceHistory
from .timing import Timeline
from .values import PinnedBuffer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from mm_edge.bundle.manifest import Family, Part, Precision
    from mm_edge.runtime.trace import Trace

    from .compiled import Compiled, Dims
    from .device import Device

log = logging.getLogger(__name__)
GPU_TOLERANCE = 1e-2  # relative error of the golden check: fp32 sums in another order, fp16 rounds


class Compiler(Protocol):
    """Compiles for the device whose context is current in the calling thread."""

    def compile(self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, Dims]) -> Compiled: ...

    def describe(self) -> dict[str, Any]: ...


class CudaEngine:
    """Loads parts onto one GPU. `use_graphs`: whether slots capture and launch CUDA graphs."""

    family: Family = "gpu"
    golden_tolerance: float | None = GPU_TOLERANCE

    def __init__(self, name: str, device: Device, compiler: Compiler, *, use_graphs: bool = True) -> None:
        self.name = name
        self._device, self._compiler, self._use_graphs = device, compiler, use_graphs
        self._buffers: list[PinnedBuffer] = []
        self._histories: list[DeviceHistory] = []
        self._executables: dict[str, CudaExecutable] = {}

    def attach(self) -> None:
        self._device.push()

    def detach(self) -> None:
        self._device.pop()

    def trace_to(self, trace: Trace) -> None:
        """Slots that are made after this call record when the device computed."""
        with self._device.current("reading the GPU's clock"):
            timeline = Timeline(self._device, trace)
        for executable in self._executables.values():
            executable.timeline = timeline

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> PinnedBuffer:
        with self._device.current("allocating memory for inputs"):
            made = PinnedBuffer(self._device, shape, dtype)
        self._buffers.append(made)
        return made

    def drop(self, buffer: Any) -> None:
        self._buffers.remove(buffer)
        with self._device.current("freeing inputs"):
            buffer.wait_until_read()
            buffer.free()

    def history(self, shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> DeviceHistory:
        with self._device.current("allocating memory for a history"):
            made = DeviceHistory(self._device, shape, dtype, length)
        self._histories.append(made)
        return made

    def load(
        self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, Dims], threads: int
    ) -> CudaExecutable:
        del threads  # the device has its own
        with self._device.current(f"loading the part '{part.name}' in {precision}"):
            compiled = self._compiler.compile(part, precision, graph, shapes)
            made = CudaExecutable(self._device, part, precision, shapes, compiled, use_graphs=self._use_graphs)
        made.choose_inputs()
        self._executables[part.name] = made
        return made

    def close(self) -> None:
        try:
            with self._device.current("freeing inputs and histories"):
                for history in self._histories:
                    history.free()
                for buffer in self._buffers:
                    buffer.free()
        except DeviceLostError as error:
            log.debug("nothing can be freed any more: %s", error)
            abandon(self._device, self._histories, self._buffers)
        self._histories, self._buffers = [], []

    def describe(self) -> dict[str, Any]:
        device = self._device
        return {
            "engine": self.name,
            "device": f"{device.name} (compute capability {device.capability}, driver {device.driver})",
            **self._compiler.describe(),
            "graphs": {name: executable.graph_use for name, executable in self._executables.items()},
            "inputs": {name: executable.input_use for name, executable in self._executables.items()},
        }
