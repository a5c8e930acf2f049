"""Tensors of the GPU's engines: pinned buffers that the host writes, outputs that live on the device.

Nobody overwrites what somebody still reads: readers leave their events, and whoever writes next waits for them, the
host before it prepares into a buffer, a stream before it computes into an output.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .faults import explain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pycuda.driver import Event, Stream

    from .device import Device


class PinnedBuffer:
    """Host memory that `prepare` writes and slots copy from without making anybody wait."""

    __slots__ = ("_device", "array", "mapped", "readers")

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._device, self.array = device, device.pinned(shape, dtype)
        self.mapped = device.mapped(self.array)
        self.readers: set[Event] = set()  # as many as slots read it, however long the run

    def host(self) -> NDArray[Any]:
        return self.array

    def wait_until_read(self) -> None:
        try:
            while self.readers:
                self.readers.pop().synchronize()
        except self._device.error as error:
            raise explain(error, "waiting until the GPU has read an input") from error

    def copy_to(self, address: int, stream: Stream) -> None:
        self._device.send(address, self.array, stream)

    def free(self) -> None:
        self._device.unpin(self.array)


class DeviceValue:
    """A tensor on the device. On the host it is only where it is asked for; what is known to be is sent there at once,
    to memory that is pinned when the value is made.
    """

    __slots__ = ("_at_home", "_came", "_copies", "_device", "_fetched", "_form", "memory", "readers", "ready")

    mapped = 0  # it lies on the device, and moves to a slot's own memory by a copy there

    def __init__(
        self,
        device: Device,
        form: tuple[tuple[int, ...], np.dtype[Any]],
        *,
        ready: Event,
        copies: Stream,
        came: Event,
        to_host: bool,
    ) -> None:
        shape, dtype = self._form = form
        self._device, self.memory = device, device.memory(math.prod(shape) * dtype.itemsize, copies)
        self._at_home: NDArray[Any] | None = device.pinned(*form) if to_host else None
        self.ready, self._copies, self._came = ready, copies, came
        self.readers: set[Event] = set()
        self._fetched = False

    def host(self) -> NDArray[Any]:
        try:
            if not self._fetched:
                self.fetch()
                self._came.record(self._copies)
            self._came.synchronize()
        except self._device.error as error:
            raise explain(error, "waiting for a result of the GPU") from error
        return self._home()

    def _home(self) -> NDArray[Any]:
        if self._at_home is None:
            self._at_home = self._device.pinned(*self._form)
        return self._at_home

    def fetch(self) -> None:
        """Puts the way home on the slot's own stream, which has waited for the result."""
        self._device.fetch(self._home(), self.memory.address, self._copies)
        self._fetched = True

    def written(self) -> None:
        """What is at home is not what is on the device any more."""
        self._fetched = False

    def wait_until_read(self, stream: Stream) -> None:
        while self.readers:
            stream.wait_for_event(self.readers.pop())

    def copy_to(self, address: int, stream: Stream) -> None:
        stream.wait_for_event(self.ready)
        self._device.move(address, self.memory.address, self.memory.size, stream)

    def free(self) -> None:
        self.memory.free()
        if self._at_home is not None:
            self._device.unpin(self._at_home)
