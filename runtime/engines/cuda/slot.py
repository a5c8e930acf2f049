"""A slot of a part on the GPU. `run` only puts work on streams; the host waits nowhere but where it reads a result.

A part has one stream on which it computes, moment after moment; each of its slots has one for copies, in and out, which
so overlap the moment before. What a slot computes on is copied into its own memory first, and its graph touches nothing
else: it cannot replay anybody's stale address. Where host and device share one memory, inputs may be read where they
lie instead; then there is a graph for each set of addresses.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from mm_edge.runtime.engines.tensors import numpy_dtype

from .faults import explain
from .values import DeviceValue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mm_edge.spec import TensorSpec

    from .compiled import Context
    from .device import DeviceMemory
    from .executable import CudaExecutable
    from .graphs import Graph
    from .timing import SlotTiming


class CudaSlot:
    """One set of buffers, one context, one graph where that could be captured."""

    def __init__(self, executable: CudaExecutable, to_host: Collection[str]) -> None:
        part, shapes, device = executable.part, executable.shapes, executable.device
        self._executable = executable
        self._stream, self._device, self._label = executable.stream, device, executable.compiled.label
        self._turn, self._copies = executable.turn, device.stream()
        self._arrived, self._computed, self._came = device.event(), device.event(), device.event()
        self._memory: list[DeviceMemory] = []
        self._graphs: list[Graph] = []
        self._timing: SlotTiming | None = None
        self.outputs: dict[str, DeviceValue] = {}
        try:
            for tensor in part.takes:
                self._memory.append(self._room(tensor))
            self._own = tuple(memory.address for memory in self._memory)
            for tensor in part.gives:
                self.outputs[tensor.name] = DeviceValue(
                    device,
                    (shapes[tensor.name], numpy_dtype(tensor.dtype)),
                    ready=self._computed,
                    copies=self._copies,
                    came=self._came,
                    to_host=tensor.name in to_host,
                )
            self._wanted = [value for name, value in self.outputs.items() if name in to_host]
            self._context: Context = executable.compiled.context()
            self._bound: tuple[int, ...] = ()
            self._copies.synchronize()  # the zeros are there before anybody reads them
            # Once without a graph: the first run loads kernels, which belongs neither into a capture nor into the loop.
            self._enqueue(self._own, self._stream.handle)
            self._stream.synchronize()
            self._launches = {self._own: self._launch(self._own)}
            self.clear()
        except BaseException:
            self.free()
            raise
        if executable.timeline is not None:
            self._timing = executable.timeline.slot(executable.part.name)

    def _room(self, tensor: TensorSpec) -> DeviceMemory:
        size = math.prod(self._executable.shapes[tensor.name]) * numpy_dtype(tensor.dtype).itemsize
        return self._device.memory(size, self._copies)

    def run(self, inputs: Sequence[Any]) -> None:
        try:
            addresses = self._take(inputs)
            with self._turn:
                self._compute(addresses)
            for value, own, address in zip(inputs, self._own, addresses, strict=True):
                value.readers.add(self._arrived if address == own else self._computed)
            self._copies.wait_for_event(self._computed)
            for output in self._wanted:
                output.fetch()
            self._came.record(self._copies)
        except self._device.error as error:
            raise explain(error, f"running {self._label}") from error

    def _take(self, inputs: Sequence[Any]) -> tuple[int, ...]:
        """Puts the inputs' way here on the stream for copies; gives the addresses at which they will be."""
        addresses = self._own
        if self._executable.reads_in_place:
            addresses = tuple(value.mapped or own for value, own in zip(inputs, self._own, strict=True))
        for value, own, address in zip(inputs, self._own, addresses, strict=True):
            if address == own:
                value.copy_to(own, self._copies)
        self._arrived.record(self._copies)
        return addresses

    def _compute(self, addresses: tuple[int, ...]) -> None:
        stream, timing = self._stream, self._timing
        if addresses not in self._launches:  # once for each set of buffers, of which there are a few
            self._launches[addresses] = self._launch(addresses)
        stream.wait_for_event(self._arrived)
        for output in self.outputs.values():
            output.wait_until_read(stream)
            output.written()
        if timing is not None:
            timing.begin(stream)
        self._launches[addresses](stream.handle)
        if timing is not None:
            timing.end(stream)
        self._computed.record(stream)

    def _launch(self, addresses: tuple[int, ...]) -> Callable[[int], None]:
        """What runs the part on inputs at those addresses: a graph where one can be captured."""
        enqueue = partial(self._enqueue, addresses)
        graph = self._executable.capture(enqueue)
        if graph is None:
            return enqueue
        self._graphs.append(graph)
        return graph.launch

    def _enqueue(self, addresses: tuple[int, ...], stream: int) -> None:
        if addresses != self._bound:
            takes = {tensor.name: at for tensor, at in zip(self._executable.part.takes, addresses, strict=True)}
            gives = {name: value.memory.address for name, value in self.outputs.items()}
            self._context.bind(self._executable.shapes, {**takes, **gives})
            self._bound = addresses
        self._context.enqueue(stream)

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
        for graph in self._graphs:
            graph.close()
        self._graphs, self._launches = [], {}
        for memory in self._memory:
            memory.free()
        for value in self.outputs.values():
            value.free()
        self._memory, self.outputs = [], {}
