"""The executable of a part on the GPU: it makes and frees slots, and measures how the part reads its inputs fastest."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mm_edge.runtime.engines.tensors import numpy_dtype

from .faults import DeviceLostError, abandon
from .part import CudaPart
from .slot import CudaSlot
from .values import PinnedBuffer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pycuda.driver import Stream

    from mm_edge.bundle.manifest import Part, Precision
    from mm_edge.runtime.engine import Slot

    from .compiled import Compiled, Dims
    from .device import Device

log = logging.getLogger(__name__)
TRIES = 20  # of each way to read inputs; the first ones capture


class CudaExecutable(CudaPart):
    """One part, loaded. Owns its slots."""

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
        super().__init__(device, part, precision, shapes, compiled, use_graphs=use_graphs)
        self.input_use = "copied"
        self._slots: list[CudaSlot] = []

    def choose_inputs(self) -> None:
        """If host and device share one memory, a copy may cost more than it saves: this part is measured both ways."""
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
        self.input_use = f"{way} ({taken_ms[False]:.3f} ms copied, {taken_ms[True]:.3f} ms in place)"

    @staticmethod
    def _is_host(source: str) -> bool:
        return not source.startswith(("part:", "state:"))

    def slot(self, to_host: Collection[str] = ()) -> CudaSlot:
        with self.device.current(f"allocating memory for {self.compiled.label}"):
            made = CudaSlot(self, to_host)
        self._slots.append(made)
        return made

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
                # They own streams and events, which must not live as long as the last reference to this object.
                del self.stream, self.compiled, self.timeline
        except DeviceLostError as error:
            log.debug("nothing can be freed any more: %s", error)
            abandon(self, self._slots)
        self._slots = []


def _quickest_ms(slot: CudaSlot, buffers: Sequence[PinnedBuffer], stream: Stream) -> float:
    """From nothing on the streams to the result."""
    taken_ms = []
    for _ in range(TRIES):
        for buffer in buffers:
            buffer.wait_until_read()  # as if it had new content
        began = time.perf_counter()
        slot.run(buffers)
        stream.synchronize()
        taken_ms.append((time.perf_counter() - began) * 1000)
    return min(taken_ms)
