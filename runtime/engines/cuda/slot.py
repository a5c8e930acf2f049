"""A part on the GPU and its slots. `run` only puts work on streams; the host waits nowhere but where it reads a result.

A part has one stream on which it computes, moment after moment; each of its slots has one for copies, in and out, which
so overlap the moment before. The graph of a slot touches the slot's own memory alone, and what it computes on is copied
there first: it cannot replay anybody's stale address.
"""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.errors import MmEdgeError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.tensors import numpy_dtype

from .faults import DeviceLostError, abandon, explain
from .graphs import capture
from .values import DeviceValue

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pycuda.driver import Stream

    from mm_edge.manifest import Part, Precision
    from mm_edge.runtime.engine import Slot

    from .device import Device, DeviceMemory
    from .graphs import Graph
    from .timing import SlotTiming, Timeline

log = logging.getLogger(__name__)
Dims = tuple[int, ...]


class Context(Protocol):
    """What one slot runs: bound to addresses once, enqueued from then on."""

    def bind(self, shapes: Mapping[str, Dims], addresses: Mapping[str, int]) -> None: ...

    def enqueue(self, stream: int) -> None: ...


class Compiled(Protocol):
    """A part as a library has it on the device. `stream`: the only one that it computes on, where it is so bound;
    `graphs_itself`: it captures and replays inside of `enqueue`.
    """

    @property
    def label(self) -> str: ...

    @property
    def stream(self) -> Stream | None: ...

    @property
    def graphs_itself(self) -> bool: ...

    def context(self) -> Context: ...


class CudaSlot:
    """One set of buffers, one context, one graph where that could be captured."""

    def __init__(self, executable: CudaExecutable, to_host: Collection[str]) -> None:
        part, shapes, device = executable.part, executable.shapes, executable.device
        self._stream, self._device, self._label = executable.stream, device, executable.compiled.label
        self._turn, self._copies = executable.turn, device.stream()
        self._arrived, self._computed, self._came = device.event(), device.event(), device.event()
        self._memory: list[DeviceMemory] = []
        self._graph: Graph | None = None
        self._context: Context | None = None
        self._timing: SlotTiming | None = None
        self.outputs: dict[str, DeviceValue] = {}
        try:
            sizes = {
                tensor.name: math.prod(shapes[tensor.name]) * numpy_dtype(tensor.dtype).itemsize
                for tensor in (*part.takes, *part.gives)
            }
            addresses = {}
            for tensor in part.takes:
                memory = device.memory(sizes[tensor.name], self._copies)
                self._memory.append(memory)
                addresses[tensor.name] = memory.address
            self._inputs = [addresses[tensor.name] for tensor in part.takes]
            for tensor in part.gives:
                at_home = device.pinned(shapes[tensor.name], numpy_dtype(tensor.dtype))
                memory = device.memory(sizes[tensor.name], self._copies)
                addresses[tensor.name] = memory.address
                self.outputs[tensor.name] = DeviceValue(
                    device, memory, at_home, ready=self._computed, copies=self._copies, came=self._came
                )
            self._wanted = [value for name, value in self.outputs.items() if name in to_host]
            context = self._context = executable.compiled.context()
            context.bind(shapes, addresses)
            self._copies.synchronize()  # the zeros are there before anybody reads them
            executable.warm_up(context)
            self._graph = executable.capture(context)
            self._launch = context.enqueue if self._graph is None else self._graph.launch
            self.clear()
        except BaseException:
            self.free()
            raise
        if executable.timeline is not None:
            self._timing = executable.timeline.slot(executable.part.name)

    def run(self, inputs: Sequence[Any]) -> None:
        copies, stream, timing = self._copies, self._stream, self._timing
        try:
            for value, address in zip(inputs, self._inputs, strict=True):
                value.copy_to(address, copies)
            self._arrived.record(copies)
            for value in inputs:
                value.readers.add(self._arrived)
            with self._turn:
                stream.wait_for_event(self._arrived)
                for output in self.outputs.values():
                    output.wait_until_read(stream)
                    output.written()
                if timing is not None:
                    timing.begin(stream)
                self._launch(stream.handle)
                if timing is not None:
                    timing.end(stream)
                self._computed.record(stream)
            copies.wait_for_event(self._computed)
            for output in self._wanted:
                output.fetch()
            self._came.record(copies)
        except self._device.error as error:
            raise explain(error, f"running {self._label}") from error

    def clear(self) -> None:
        """Zeros in every output, before what is put on the streams next."""
        try:
            for value in self.outputs.values():
                value.wait_until_read(self._copies)
                value.memory.clear(self._copies)
                value.written()
            self._computed.record(self._copies)
            self._came.record(self._copies)
            self._stream.wait_for_event(self._computed)
        except self._device.error as error:
            raise explain(error, f"clearing the outputs of {self._label}") from error

    def free(self) -> None:
        if self._timing is not None:
            self._timing.tell()
        if self._graph is not None:
            self._graph.close()
        self._graph = None
        for memory in self._memory:
            memory.free()
        for value in self.outputs.values():
            value.free()
        self._context = None  # before the engine that it belongs to
        self._memory, self.outputs = [], {}


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
        self.graph_told = "captured by the library itself" if compiled.graphs_itself else "not asked for"
        self._use_graphs = use_graphs and not compiled.graphs_itself
        self._slots: list[CudaSlot] = []

    def slot(self, to_host: Collection[str] = ()) -> CudaSlot:
        with self.device.current(f"making room for {self.compiled.label}"):
            made = CudaSlot(self, to_host)
        self._slots.append(made)
        return made

    def warm_up(self, context: Context) -> None:
        """Libraries load their kernels at the first run, and some allocate: not within a capture, nor in the loop."""
        context.enqueue(self.stream.handle)
        self.stream.synchronize()

    def capture(self, context: Context) -> Graph | None:
        """None where there is to be none, or where it cannot be captured: that is told, and costs time, not results."""
        if not self._use_graphs:
            return None
        try:
            graph = capture(context.enqueue, self.stream.handle, self.compiled.label)
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
