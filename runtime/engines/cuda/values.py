"""Tensors of the GPU's engines: pinned buffers that the host writes, results that live on the device.

Nobody overwrites what somebody still reads: readers leave their events, and whoever writes next waits for them, the
host before it prepares into a buffer, a stream before it computes into an output. By its version a reader knows
whether a value is still the one that it has read.
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

ALIGNMENT = 256  # bytes, of each tensor in a block: what cuMemAlloc itself gives, and what TensorRT asks for


class PinnedBuffer:
    """Host memory that `prepare` writes and slots copy from without making anybody wait."""

    __slots__ = ("_device", "array", "mapped", "readers", "version")

    ready: Event | None = None  # who reads it is asked only once the host has written it

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._device, self.array = device, device.pinned(shape, dtype)
        self.mapped = device.mapped(self.array)
        self.readers: set[Event] = set()  # as many as slots read it, however long the run
        self.version = 0

    def host(self) -> NDArray[Any]:
        return self.array

    def wait_until_read(self) -> None:
        self.version += 1  # whoever waits is about to write
        try:
            while self.readers:
                self.readers.pop().synchronize()
        except self._device.error as error:
            raise explain(error, "waiting until the GPU has read an input") from error

    def copy_to(self, address: int, stream: Stream) -> None:
        self._device.send(address, self.array, stream)

    def free(self) -> None:
        self._device.unpin(self.array)


class Results:
    """Tensors that are computed together, in one block of the device. Those that are known to be read on the host lie
    side by side, and come home in one copy.
    """

    def __init__(
        self, device: Device, forms: Mapping[str, Form], copies: Stream, to_host: Collection[str] = ()
    ) -> None:
        """`copies`: the stream on which they come home; the zeros that they are at first are on it too."""
        self.device, self.copies = device, copies
        self.ready, self.came = device.event(), device.event()
        self.readers: set[Event] = set()
        self.version = self._sent = self._there = 0  # which of them was written, sent home, and has come
        places, self._home_size, size = _side_by_side(forms, to_host)
        self._memory, self._home = device.memory(size, copies), None
        try:
            if self._home_size:
                self._home = device.pinned((self._home_size,), np.dtype(np.uint8))
        except BaseException:
            self._memory.free()
            raise
        self.values = {name: DeviceValue(self, form, *self._place(form, places[name])) for name, form in forms.items()}

    def _place(self, form: Form, at: int) -> tuple[int, NDArray[Any] | None]:
        view = None
        if self._home is not None and at < self._home_size:
            view = self._home[at : at + size_of(form)].view(form[1]).reshape(form[0])
        return self._memory.address + at, view

    @property
    def read_at_home(self) -> bool:
        """Whether somebody had said so when they were made."""
        return self._home is not None

    def written(self) -> None:
        """What is at home is not what is on the device any more."""
        self.version += 1

    def wait_until_read(self, stream: Stream) -> None:
        while self.readers:
            stream.wait_for_event(self.readers.pop())

    def send_home(self) -> None:
        """Puts the way home of what is read there on the stream for copies, which has waited for the results."""
        if self._home is not None:
            self.device.fetch(self._home, self._memory.address, self.copies)
            self.came.record(self.copies)
            self._sent = self.version

    def come_home(self) -> None:
        """Waits until they are there."""
        if self._sent != self.version:
            self.send_home()
        if self._there != self.version:
            self.came.synchronize()
            self._there = self.version

    def clear(self) -> None:
        """Zeros, before what is put on the stream for copies next."""
        self.wait_until_read(self.copies)
        self._memory.clear(self.copies)
        self.written()
        self.ready.record(self.copies)

    def free(self) -> None:
        """Events and streams go with whoever holds them last. They must not wait in a ring of references for the
        collector, which may come when the device is lost: letting go of them then ends the process.
        """
        while self.readers:
            self.readers.pop().synchronize()
        self._memory.free()
        for value in self.values.values():
            value.forget()
        self.values = {}
        if self._home is not None:
            self.device.unpin(self._home)


class DeviceValue:
    """One of the results. On the host it is only where it is asked for."""

    __slots__ = ("_form", "_known", "_results", "_seen", "_view", "address", "readers", "ready")

    mapped = 0  # it lies on the device, and moves to a slot's own memory by a copy there

    def __init__(self, results: Results, form: Form, address: int, view: NDArray[Any] | None) -> None:
        self._results, self._form, self.address, self._view = results, form, address, view
        self._known, self._seen = view is not None, -1
        self.ready, self.readers = results.ready, results.readers

    @property
    def version(self) -> int:
        return self._results.version

    def host(self) -> NDArray[Any]:
        try:
            return self._come_home()
        except self._results.device.error as error:
            raise explain(error, "waiting for a result of the GPU") from error

    def _come_home(self) -> NDArray[Any]:
        results, view = self._results, self._view
        if view is None:  # nobody had said that it would be read here
            view = self._view = results.device.pinned(*self._form)
        if self._known:
            results.come_home()
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
        """Gives back what `host` took."""
        if self._view is not None and not self._known:
            self._results.device.unpin(self._view)
        self._view = None


def size_of(form: Form) -> int:
    shape, dtype = form
    return math.prod(shape) * dtype.itemsize


def lay_out(forms: Mapping[str, Form]) -> tuple[dict[str, int], int]:
    """Where each tensor begins in a block, and how long the block is."""
    places, size = {}, 0
    for name, form in forms.items():
        places[name] = size
        size += -(-size_of(form) // ALIGNMENT) * ALIGNMENT
    return places, size


def _side_by_side(forms: Mapping[str, Form], to_host: Collection[str]) -> tuple[dict[str, int], int, int]:
    """As `lay_out`, first those that come home; and how long these are together."""
    places, home_size = lay_out({name: form for name, form in forms.items() if name in to_host})
    others, size = lay_out({name: form for name, form in forms.items() if name not in to_host})
    return {**places, **{name: home_size + at for name, at in others.items()}}, home_size, home_size + size
