"""The last N values of a tensor on the GPU: a ring that values are copied into, and rooms that it is unrolled into.

Nothing is copied through the host. All copies of one history are on one stream, so the newest value is in the ring
before the ring is unrolled, and that is done before the next value replaces the oldest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .faults import explain
from .values import Results, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from .device import Device
    from .values import DeviceValue

Copy = tuple[int, int, int]  # to, from, size: in bytes, from the start of the room and of the ring


class DeviceHistory:
    """Owns its ring; a room belongs to its caller until it is dropped."""

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> None:
        self._device, self._dtype, self._length = device, dtype, length
        self._shape = (shape[0], length, *shape[1:])
        self._value_size = size_of((shape, dtype))
        self._stream = device.stream()
        self._ring = device.memory(length * self._value_size, self._stream)
        self._rooms: dict[DeviceValue, Results] = {}
        self._newest = length - 1
        row_size = self._value_size // shape[0]
        self._copies = [list(_copies(shape[0], length, row_size, oldest)) for oldest in range(length)]

    def room(self) -> DeviceValue:
        with self._device.current("allocating memory for a history"):
            made = Results(self._device, {"": (self._shape, self._dtype)}, self._stream)
            made.ready.record(self._stream)
        self._rooms[made.values[""]] = made
        return made.values[""]

    def push(self, value: Any, into: Any) -> None:
        room, stream = self._rooms[into], self._stream
        try:
            if value.ready is not None:
                stream.wait_for_event(value.ready)
            self._newest = (self._newest + 1) % self._length
            value.copy_to(self._ring.address + self._newest * self._value_size, stream)
            room.wait_until_read(stream)
            room.written()
            for to, source, size in self._copies[(self._newest + 1) % self._length]:
                self._device.move(into.address + to, self._ring.address + source, size, stream)
            room.ready.record(stream)
            value.readers.add(room.ready)
        except self._device.error as error:
            raise explain(error, "keeping a history on the GPU") from error

    def drop(self, room: Any) -> None:
        with self._device.current("freeing a history"):
            self._stream.synchronize()
            self._rooms.pop(room).free()

    def free(self) -> None:
        self._stream.synchronize()
        for room in self._rooms.values():
            room.free()
        self._rooms = {}
        self._ring.free()
        del self._stream, self._ring  # a stream lives as long as the last reference to it


def _copies(rows: int, length: int, row_size: int, oldest: int) -> Iterator[Copy]:
    """From the ring (value by value, starting anywhere) to a room (row by row, oldest first), in as few pieces as are
    contiguous: at most two if there is one row.
    """
    begun: Copy | None = None
    for row in range(rows):
        for age in range(length):
            to = (row * length + age) * row_size
            source = ((oldest + age) % length * rows + row) * row_size
            if begun is not None and source == begun[1] + begun[2]:
                begun = (begun[0], begun[1], begun[2] + row_size)
                continue
            if begun is not None:
                yield begun
            begun = (to, source, row_size)
    if begun is not None:
        yield begun
