"""One GPU through pycuda: its primary context, streams, events, memory. No other module imports pycuda at run time.

The primary context is the one that TensorRT and ONNX Runtime use too. A thread must have it on its stack: workers push
it at their start and pop it at their end; other threads use `current()`.
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
NON_BLOCKING = 1  # a stream that does not wait for the default stream, which is unused here


class DeviceMemory:
    """Bytes on the device, zero at first, so that memory reads as zeros until it is written."""

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
    """Made once per process (`open_device`). Its calls raise `error`, which faults.py explains."""

    error = cuda.Error

    def __init__(self, number: int = 0) -> None:
        action = f"opening the GPU {number}"
        try:
            cuda.init()
            if number >= cuda.Device.count():
                raise DeviceError(f"the number of GPUs is {cuda.Device.count()}", action=action, hint="mm-edge doctor")
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

    def push(self, action: str = "attaching a thread to the GPU") -> None:
        """The calling thread uses this device from now on."""
        try:
            if self._lost is not None:
                raise self._lost
            self._context.push()
        except cuda.Error as error:
            raise explain(error, action) from error

    def pop(self, action: str = "detaching a thread from the GPU") -> None:
        """May raise an earlier error of the device; the thread is detached even then."""
        try:
            cuda.Context.pop()
        except cuda.Error as error:
            found = explain(error, action)
            if self._lost is not None or isinstance(found, DeviceLostError):
                self._forget(error)
            raise found from error

    def _forget(self, error: cuda.Error) -> None:
        """Removes a lost device's context from this thread's stack without the driver: if it stayed there, pycuda would
        end the process when the thread ends.
        """
        with self._losing:
            if self._lost is None:
                self._lost = error
                self._context.detach()
        with suppress(cuda.Error):
            cuda.Event()  # any look-up of the context drops those that were detached

    @contextmanager
    def current(self, action: str = "using the GPU") -> Iterator[None]:
        """Puts the context on this thread's stack, and explains errors: the first one, if detaching fails as well."""
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
        """The host sleeps while it waits: a spinning core is not available to prepare the next frame."""
        flags = cuda.event_flags.BLOCKING_SYNC
        return cuda.Event(flags if timed else flags | cuda.event_flags.DISABLE_TIMING)

    def memory(self, size: int, stream: cuda.Stream) -> DeviceMemory:
        return DeviceMemory(size, stream)

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Host memory for asynchronous copies, zero at first, and mapped: an integrated GPU can read it in place."""
        array: NDArray[Any] = cuda.pagelocked_empty(shape, dtype, mem_flags=cuda.host_alloc_flags.DEVICEMAP)
        array[...] = 0
        return array

    @staticmethod
    def mapped(array: NDArray[Any]) -> int:
        """The address by which the device reads pinned memory in place."""
        return int(array.base.get_device_pointer())  # type: ignore[union-attr]  # pycuda's allocation

    @staticmethod
    def unpin(array: NDArray[Any]) -> None:
        """Frees pinned memory; the array must not be used afterwards."""
        array.base.free()  # type: ignore[union-attr]  # pycuda's allocation

    @staticmethod
    def send(to: int, array: NDArray[Any], stream: cuda.Stream) -> None:
        """Copies pinned host memory to the device, in stream order."""
        cuda.memcpy_htod_async(to, array, stream)

    @staticmethod
    def fetch(array: NDArray[Any], source: int, stream: cuda.Stream) -> None:
        """Copies from the device to pinned host memory, in stream order."""
        cuda.memcpy_dtoh_async(array, source, stream)

    @staticmethod
    def move(to: int, source: int, size: int, stream: cuda.Stream) -> None:
        """Copies within the device, in stream order."""
        cuda.memcpy_dtod_async(to, source, size, stream)


def driver_version() -> str:
    """From the kernel module: it may change while the CUDA version does not. Empty without a module (under WSL)."""
    try:
        text = NVIDIA_MODULE.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    found = re.search(r"Kernel Module(?: for \S+)?\s+([\d.]+)", text)
    return found[1] if found else ""


@cache
def open_device(number: int = 0) -> Device:
    """Kept until the process ends: releasing the primary context would destroy the engines of everyone who uses it."""
    return Device(number)
