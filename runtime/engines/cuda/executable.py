"""A part on the GPU: its stream, its slots, whether it has graphs, and how it reads what the host prepared."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from mm_edge.errors import MmEdgeError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.tensors import numpy_dtype

from .faults import DeviceLostError, abandon
from .graphs import capture
from .slot import CudaSlot
from .values import PinnedBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pycuda.driver import Stream

    from mm_edge.bundle.manifest import Part, Precision
    from mm_edge.runtime.engine import Slot

    from .compiled import Compiled, Dims
    from .device import Device
    from .graphs import Graph
    from .timing import Timeline

log = logging.getLogger(__name__)
TRIES = 20  # of each way to read inputs; the first ones capture


class CudaExecutable:
    """One part, loaded."""

    def __init__(
        self,
        device: Device,
        part: Part,
        precision: Precision,
        shapes: Mapping[str, Dims],
        compiled: Compiled,
        *,
        use_graphs: bool,
    ) -> None:
        self.device, self.part, self.precision, self.shapes, self.compiled = device, part, precision, shapes, compiled
        self.stream = compiled.stream or device.stream()
        # What a moment puts on the stream stays together, so that none waits for the input of a later one.
        self.turn = threading.Lock()
        self.timeline: Timeline | None = None  # where somebody wants to know when the device computed
        self.reads_in_place = False
        self.inputs_told = "copied"
        self.graph_told = "not asked for"
        self._use_graphs = use_graphs
        self._slots: list[CudaSlot] = []

    def choose_inputs(self) -> None:
        """Where host and device share one memory, a copy may cost more than it saves: by measurement, on this part."""
        if not self.device.integrated or not any(self._is_host(read.source) for read in self.part.reads.values()):
            return
        slot = self.slot()
        with self.device.current(f"measuring how {self.compiled.label} reads its inputs"):
            buffers = [
                PinnedBuffer(self.device, self.shapes[tensor.name], numpy_dtype(tensor.dtype))
                for tensor in self.part.takes
            ]
            taken_ms = {}
            for self.reads_in_place in (False, True):
                taken_ms[self.reads_in_place] = _quickest_ms(slot, buffers, self.stream)
            self.reads_in_place = taken_ms[True] < taken_ms[False]
            for buffer in buffers:
                buffer.free()
        self.release(slot)
        way = "read in place" if self.reads_in_place else "copied"
        self.inputs_told = f"{way} ({taken_ms[False]:.3f} ms copied, {taken_ms[True]:.3f} ms in place)"

    @staticmethod
    def _is_host(source: str) -> bool:
        return not source.startswith(("part:", "state:"))

    def slot(self, to_host: Collection[str] = ()) -> CudaSlot:
        with self.device.current(f"making room for {self.compiled.label}"):
            made = CudaSlot(self, to_host)
        self._slots.append(made)
        return made

    def capture(self, enqueue: Callable[[int], None]) -> Graph | None:
        """None where there is to be none, or where it cannot be captured: that is told, and costs time, not results."""
        if not self._use_graphs:
            return None
        try:
            once = self.compiled.host_work_once
            graph = capture(enqueue, self.stream.handle, self.compiled.label, host_work_once=once)
        except (DeviceMemoryError, DeviceLostError):
            raise
        except (MmEdgeError, self.device.error) as error:
            self._use_graphs = False
            self.graph_told = f"none: {error}"
            return None
        self.graph_told = "captured"
        return graph

    def release(self, slot: Slot) -> None:
        (found,) = (own for own in self._slots if own is slot)
        self._slots.remove(found)
        with self.device.current():
            self.stream.synchronize()
            found.free()

    def close(self) -> None:
        try:
            with self.device.current(f"freeing {self.compiled.label}"):
                self.stream.synchronize()
                for slot in self._slots:
                    slot.free()
        except DeviceLostError as error:
            log.debug("nothing to free any more: %s", error)
            abandon(self, self._slots)
        self._slots = []


def _quickest_ms(slot: CudaSlot, buffers: Sequence[PinnedBuffer], stream: Stream) -> float:
    """From nothing on the streams to the result."""
    taken_ms = []
    for _ in range(TRIES):
        for buffer in buffers:
            buffer.wait_until_read()  # as if it held something new
        began = time.perf_counter()
        slot.run(buffers)
        stream.synchronize()
        taken_ms.append((time.perf_counter() - began) * 1000)
    return min(taken_ms)
