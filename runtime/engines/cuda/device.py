"""One GPU through pycuda: its primary context, streams, events, memory. Nothing else of the package imports pycuda.

The primary context is the one that TensorRT and ONNX Runtime use too. A thread must have it on its stack: lanes push it
at their start and pop it at their end; what happens outside of lanes stands within `current()`.
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pycuda.driver as cuda

from mm_edge.errors import DeviceError, UnavailableError

from .faults import DeviceLostError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

NVIDIA_MODULE = Path("/proc/driver/nvidia/version")
NON_BLOCKING = 1  # a stream that does not wait for the default stream, which nobody here uses


class DeviceMemory:
    """Bytes on the device, zero at first, so that what nobody wrote yet reads as nothing."""

    __slots__ = ("_allocation", "address", "size")

    def __init__(self, size: int, stream: cuda.Stream) -> None:
        self._allocation: Any = cuda.mem_alloc(max(1, size))
        self.address, self.size = int(self._allocation), size
        cuda.memset_d8_async(self.address, 0, size, stream)

    def clear(self, stream: cuda.Stream) -> None:
        cuda.memset_d8_async(self.address, 0, self.size, stream)

    def free(self) -> None:
        if self._allocation is not None:
            self._allocation.free()
            self._allocation = None


class Device:
    """Made once a process (`open_device`). What its calls raise is an `error`, which faults.py explains."""

    error = cuda.Error

    def __init__(self, number: int = 0) -> None:
        action = f"opening the GPU {number}"
        try:
            cuda.init()
            if number >= cuda.Device.count():
                raise DeviceError(f"there are {cuda.Device.count()}", action=action, hint="mm-edge doctor")
            device = cuda.Device(number)
            self._context: Any = device.retain_primary_context()
        except cuda.Error as error:
            raise explain(error, action) from error
        self._lost: cuda.Error | None = None
        self._losing = threading.Lock()
        self.name = str(device.name())
        self.capability = "{}.{}".format(*device.compute_capability())
        cuda_version = "{}.{}".format(*divmod(cuda.get_driver_version() // 10, 100))
        self.driver = f"{driver_version()} for CUDA {cuda_version}".strip()
        self.integrated = bool(device.get_attribute(cuda.device_attribute.INTEGRATED))

    def push(self, action: str = "giving a thread the GPU") -> None:
        """The calling thread works with this device from here on."""
        try:
            if self._lost is not None:
                raise self._lost
            self._context.push()
        except cuda.Error as error:
            raise explain(error, action) from error

    def pop(self, action: str = "taking the GPU from a thread") -> None:
        """May raise what went wrong on the device before. Then too the thread has let go of it."""
        try:
            cuda.Context.pop()
        except cuda.Error as error:
            found = explain(error, action)
            if self._lost is not None or isinstance(found, DeviceLostError):
                self._forget(error)
            raise found from error

    def _forget(self, error: cuda.Error) -> None:
        """Takes a lost device's context off this thread's stack without the driver: with a context left there pycuda
        ends the process when the thread ends.
        """
        with self._losing:
            if self._lost is None:
                self._lost = error
                self._context.detach()
        with suppress(cuda.Error):
            cuda.Event()  # whatever looks for a context drops those that were detached

    @contextmanager
    def current(self, action: str = "using the GPU") -> Iterator[None]:
        """The context on this thread's stack, and errors by their names; the first one, if letting go fails as well."""
        self.push(action)
        try:
            yield
        except BaseException as error:
            with suppress(UnavailableError):
                self.pop(action)
            if isinstance(error, cuda.Error):
                raise explain(error, action) from error
            raise
        self.pop(action)

    def free_bytes(self) -> int:
        return int(cuda.mem_get_info()[0])

    def stream(self) -> cuda.Stream:
        return cuda.Stream(NON_BLOCKING)

    def event(self, *, timed: bool = False) -> cuda.Event:
        """A host that waits for it sleeps: a core that spins is one that the next frame's preparation lacks."""
        flags = cuda.event_flags.BLOCKING_SYNC
        return cuda.Event(flags if timed else flags | cuda.event_flags.DISABLE_TIMING)

    def memory(self, size: int, stream: cuda.Stream) -> DeviceMemory:
        return DeviceMemory(size, stream)

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Host memory that copies need not wait for, zero at first, mapped so that a GPU that shares it may read it."""
        array: NDArray[Any] = cuda.pagelocked_empty(shape, dtype, mem_flags=cuda.host_alloc_flags.DEVICEMAP)
        array[...] = 0
        return array

    @staticmethod
    def mapped(array: NDArray[Any]) -> int:
        """The address by which the device reads pinned memory in place."""
        return int(array.base.get_device_pointer())  # type: ignore[union-attr]  # pycuda's allocation

    @staticmethod
    def unpin(array: NDArray[Any]) -> None:
        """Gives pinned memory back; the array must not be touched afterwards."""
        array.base.free()  # type: ignore[union-attr]  # pycuda's allocation

    @staticmethod
    def send(to: int, array: NDArray[Any], stream: cuda.Stream) -> None:
        """Pinned host memory to the device, once the stream comes to it."""
        cuda.memcpy_htod_async(to, array, stream)

    @staticmethod
    def fetch(array: NDArray[Any], source: int, stream: cuda.Stream) -> None:
        """From the device into pinned host memory, once the stream comes to it."""
        cuda.memcpy_dtoh_async(array, source, stream)

    @staticmethod
    def move(to: int, source: int, size: int, stream: cuda.Stream) -> None:
        """Within the device, once the stream comes to it."""
        cuda.memcpy_dtod_async(to, source, size, stream)


def driver_version() -> str:
    """As the kernel's module tells it: a driver may change while the CUDA version that it is for does not. Empty where
    no module tells (under WSL).
    """
    try:
        told = NVIDIA_MODULE.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    found = re.search(r"Kernel Module(?: for \S+)?\s+([\d.]+)", told)
    return found[1] if found else ""


@cache
def open_device(number: int = 0) -> Device:
    """Kept for the life of the process: a primary context that is let go takes everybody's engines with it."""
    return Device(number)
