"""Tensors of the GPU engines: pinned buffers that the host writes, and results that live on the device.

Nothing is overwritten while it is still read: readers record events, and the next writer waits for them, the host
before it prepares into a buffer, a stream before it computes into an output. The version shows a reader whether a value
has changed since it was read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .faults import explain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray
    from pycuda.driver import Event, Stream

    from .device import Device

    Form = tuple[tuple[int, ...], np.dtype[Any]]

ALIGNMENT = 256  # bytes, of each tensor in a block: the alignment of cuMemAlloc, which TensorRT requires


class PinnedBuffer:
    """Host memory that `prepare` writes and slots copy from asynchronously."""

    __slots__ = ("_device", "array", "mapped", "readers", "version")

    ready: Event | None = None  # a reader is called only after the host has written it

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._device, self.array = device, device.pinned(shape, dtype)
        self.mapped = device.mapped(self.array)
        self.readers: set[Event] = set()  # at most one per slot that reads it, however long the run
        self.version = 0

    def host(self) -> NDArray[Any]:
        return self.array

    def wait_until_read(self) -> None:
        self.version += 1  # the caller is about to write
        try:
            while self.readers:
                self.readers.pop().synchronize()
        except self._device.error as error:
            raise explain(error, "waiting until the GPU has read an input") from error

    def copy_to(self, address: int, stream: Stream) -> None:
        self._device.send(address, self.array, stream)

    def free(self) -> None:
        self.readers.clear()  # an event lives as long as the last reference to it
        self._device.unpin(self.array)


class Results:
    """Tensors that are computed together, in one block of device memory. Those known to be read on the host are
    contiguous, and are copied there at once.
    """

    def __init__(
        self, device: Device, forms: Mapping[str, Form], copies: Stream, to_host: Collection[str] = ()
    ) -> None:
        """`copies`: the stream that copies them to the host, and that zeroes them at first."""
        self.device, self.copies = device, copies
        self.ready, self.came = device.event(), device.event()
        self.readers: set[Event] = set()
        self.version = self._sent = self._there = 0  # the version that was written, sent to the host, and has arrived
        places, self._host_size, size = _side_by_side(forms, to_host)
        self._memory, self._on_host = device.memory(size, copies), None
        try:
            if self._host_size:
                self._on_host = device.pinned((self._host_size,), np.dtype(np.uint8))
        except BaseException:
            self._memory.free()
            raise
        self.values = {name: DeviceValue(self, form, *self._place(form, places[name])) for name, form in forms.items()}

    def _place(self, form: Form, at: int) -> tuple[int, NDArray[Any] | None]:
        view = None
        if self._on_host is not None and at < self._host_size:
            view = self._on_host[at : at + size_of(form)].view(form[1]).reshape(form[0])
        return self._memory.address + at, view

    @property
    def read_on_host(self) -> bool:
        """Whether any tensor was known to be read on the host when these were made."""
        return self._on_host is not None

    def written(self) -> None:
        """The copy on the host is out of date."""
        self.version += 1

    def wait_until_read(self, stream: Stream) -> None:
        while self.readers:
            stream.wait_for_event(self.readers.pop())

    def send_to_host(self) -> None:
        """Enqueues the copy to the host on the stream for copies, which has waited for the results."""
        if self._on_host is not None:
            self.device.fetch(self._on_host, self._memory.address, self.copies)
            self.came.record(self.copies)
            self._sent = self.version

    def wait_on_host(self) -> None:
        """Waits until they are on the host."""
        if self._sent != self.version:
            self.send_to_host()
        if self._there != self.version:
            self.came.synchronize()
            self._there = self.version

    def clear(self) -> None:
        """Zeros, before any later work on the stream for copies."""
        self.wait_until_read(self.copies)
        self._memory.clear(self.copies)
        self.written()
        self.ready.record(self.copies)

    def free(self) -> None:
        """Events and streams are destroyed with their last reference. There must be no reference cycle: the garbage
        collector could run after the device is lost, and destroying them then ends the process.
        """
        while self.readers:
            self.readers.pop().synchronize()
        self._memory.free()
        for value in self.values.values():
            value.forget()
        self.values = {}
        if self._on_host is not None:
            self.device.unpin(self._on_host)


class DeviceValue:
    """One of the results. It is copied to the host only on request."""

    __slots__ = ("_form", "_known", "_results", "_seen", "_view", "address", "readers", "ready")

    mapped = 0  # it is in device memory, and is copied within it to the memory of a slot

    def __init__(self, results: Results, form: Form, address: int, view: NDArray[Any] | None) -> None:
        self._results, self._form, self.address, self._view = results, form, address, view
        self._known, self._seen = view is not None, -1
        self.ready, self.readers = results.ready, results.readers

    @property
    def version(self) -> int:
        return self._results.version

    def host(self) -> NDArray[Any]:
        try:
            return self._copy_to_host()
        except self._results.device.error as error:
            raise explain(error, "waiting for a result of the GPU") from error

    def _copy_to_host(self) -> NDArray[Any]:
        results, view = self._results, self._view
        if view is None:  # it was not known that it would be read here
            view = self._view = results.device.pinned(*self._form)
        if self._known:
            results.wait_on_host()
        elif self._seen != results.version:
            results.device.fetch(view, self.address, results.copies)
            results.came.record(results.copies)
            results.came.synchronize()
            self._seen = results.version
        return view

    def copy_to(self, address: int, stream: Stream) -> None:
        """The stream has waited until it is ready."""
        self._results.device.move(address, self.address, size_of(self._form), stream)

    def forget(self) -> None:
        """Frees what `host` allocated, and drops the references to streams and events."""
        if self._view is not None and not self._known:
            self._results.device.unpin(self._view)
        self._view = None
        del self._results, self.ready, self.readers


def size_of(form: Form) -> int:
    shape, dtype = form
    return math.prod(shape) * dtype.itemsize


def lay_out(forms: Mapping[str, Form]) -> tuple[dict[str, int], int]:
    """The offset of each tensor in a block, and the size of the block."""
    places, size = {}, 0
    for name, form in forms.items():
        places[name] = size
        size += -(-size_of(form) // ALIGNMENT) * ALIGNMENT
    return places, size


def _side_by_side(forms: Mapping[str, Form], to_host: Collection[str]) -> tuple[dict[str, int], int, int]:
    """As `lay_out`, with the tensors for the host first; and their total size."""
    places, host_size = lay_out({name: form for name, form in forms.items() if name in to_host})
    others, size = lay_out({name: form for name, form in forms.items() if name not in to_host})
    return {**places, **{name: host_size + at for name, at in others.items()}}, host_size, host_size + size
