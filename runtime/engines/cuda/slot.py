"""A slot of a part on the GPU. `run` only enqueues work on streams; the host waits only when it reads a result.

A part has one stream on which it computes, moment after moment. Each of its slots has another one for copies in and
out, which overlap the moment before. Inputs are copied into the slot's own memory first, unless they are unchanged
since its last run, and its graph uses no other memory: it cannot replay a stale address. If host and device share one
memory, inputs may be read in place instead; then there is one graph for each set of addresses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mm_edge.runtime.engines.tensors import numpy_dtype

from .faults import explain
from .timing import NO_SPANS
from .values import Results, lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mm_edge.spec import TensorSpec

    from .compiled import Context
    from .device import DeviceMemory
    from .graphs import Graph
    from .part import CudaPart
    from .values import DeviceValue, Form


class CudaSlot:
    """One set of buffers, one context, and one graph if it could be captured."""

    def __init__(self, loaded: CudaPart, to_host: Collection[str]) -> None:
        part, device = loaded.part, loaded.device
        self._loaded = loaded
        self._stream, self._device, self._label = loaded.stream, device, loaded.compiled.label
        self._handle = self._stream.handle  # each access costs a call
        self._turn, self._copies = loaded.turn, device.stream()
        self._arrived = device.event()
        self._owned: list[DeviceMemory | Results] = []
        self._graphs: list[Graph] = []
        self._arriving, self._running, self._leaving = NO_SPANS
        try:
            places, size = lay_out(self._forms(part.takes))
            memory = device.memory(size, self._copies)
            self._owned.append(memory)
            self._own = tuple(memory.address + places[tensor.name] for tensor in part.takes)
            self._present: list[tuple[Any, int] | None] = [None] * len(
                self._own
            )  # the value and version that is in own memory
            self._results = Results(device, self._forms(part.gives), self._copies, to_host)
            self._owned.append(self._results)
            self.outputs: Mapping[str, DeviceValue] = self._results.values
            self._context: Context = loaded.compiled.context()
            self._bound: tuple[int, ...] = ()
            self._copies.synchronize()  # the zeros are written before anything reads them
            self._launches = {self._own: self._launch(self._own)}
            self.clear()
        except BaseException:
            self.free()
            raise
        if loaded.timeline is not None:
            self._arriving, self._running, self._leaving = loaded.timeline.slot(part.name)

    def _forms(self, tensors: Sequence[TensorSpec]) -> dict[str, Form]:
        shapes = self._loaded.shapes
        return {tensor.name: (shapes[tensor.name], numpy_dtype(tensor.dtype)) for tensor in tensors}

    def run(self, inputs: Sequence[Any]) -> None:
        try:
            addresses = self._take(inputs)
            with self._turn:
                self._compute(addresses)
            for value, own, address in zip(inputs, self._own, addresses, strict=True):
                if address != own:
                    value.readers.add(self._results.ready)
            self._copies.wait_for_event(
                self._results.ready
            )  # before results are copied to the host, and before new inputs arrive
            if self._results.read_on_host:
                self._leaving.begin(self._copies)
                self._results.send_to_host()
                self._leaving.end(self._copies)
        except self._device.error as error:
            raise explain(error, f"running {self._label}") from error

    def _take(self, inputs: Sequence[Any]) -> tuple[int, ...]:
        """Enqueues the copies of the inputs. The result is the addresses at which they will be."""
        copies, present, in_place = self._copies, self._present, self._loaded.reads_in_place
        addresses, changed = self._own, []
        for index, value in enumerate(inputs):
            if in_place and value.mapped:
                addresses = (*addresses[:index], value.mapped, *addresses[index + 1 :])
                continue
            now = (value, value.version)
            if present[index] != now:
                present[index] = None
                changed.append((index, value, now))
        if changed:
            for ready in {value.ready for _, value, _ in changed} - {None}:
                copies.wait_for_event(ready)
            self._arriving.begin(copies)
            for index, value, now in changed:
                value.copy_to(self._own[index], copies)
                present[index] = now
            self._arriving.end(copies)
        self._arrived.record(copies)
        for _, value, _ in changed:
            value.readers.add(self._arrived)
        return addresses

    def _compute(self, addresses: tuple[int, ...]) -> None:
        stream, results = self._stream, self._results
        stream.wait_for_event(self._arrived)
        results.wait_until_read(stream)
        results.written()
        if addresses not in self._launches:  # once for each set of buffers, of which there are a few
            self._launches[addresses] = self._launch(addresses)
        self._running.begin(stream)
        self._launches[addresses](self._handle)
        self._running.end(stream)
        results.ready.record(stream)

    def _launch(self, addresses: tuple[int, ...]) -> Callable[[int], None]:
        """What runs the part on inputs at those addresses: a graph if one can be captured. The part runs a few times
        first: what its first runs load and allocate must happen neither in a capture nor in the loop.
        """
        enqueue = partial(self._enqueue, addresses)
        for _ in range(self._loaded.compiled.runs_until_steady):
            enqueue(self._handle)
        self._stream.synchronize()
        graph = self._loaded.capture(enqueue)
        if graph is None:
            return enqueue
        self._graphs.append(graph)
        return graph.launch

    def _enqueue(self, addresses: tuple[int, ...], stream: int) -> None:
        if addresses != self._bound:
            takes = {tensor.name: at for tensor, at in zip(self._loaded.part.takes, addresses, strict=True)}
            gives = {name: value.address for name, value in self.outputs.items()}
            self._context.bind(self._loaded.shapes, {**takes, **gives})
            self._bound = addresses
        self._context.enqueue(stream)

    def clear(self) -> None:
        """Zeros in every output, before any work that is enqueued later."""
        try:
            self._results.clear()
            self._stream.wait_for_event(self._results.ready)
        except self._device.error as error:
            raise explain(error, f"clearing the outputs of {self._label}") from error

    def free(self) -> None:
        """Called once the stream on which the part computes is idle."""
        self._copies.synchronize()
        for spans in (self._arriving, self._running, self._leaving):
            spans.report()
        for graph in self._graphs:
            graph.close()
        self._graphs, self._launches = [], {}
        for owned in self._owned:
            owned.free()
        # What remains owns streams and events, which must not live as long as the last reference to this slot.
        self.__dict__.clear()
