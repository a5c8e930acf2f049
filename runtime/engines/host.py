"""The base of engines in host memory: nothing is asynchronous there, and nothing must be freed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.runtime.engine import Buffer, Engine, Slot, Value
    from mm_edge.runtime.trace import Trace


class HostTensor:
    """A tensor in host memory. It is computed, or read, when the call that does so returns."""

    __slots__ = ("array",)

    array: NDArray[Any]

    def host(self) -> NDArray[Any]:
        return self.array

    def wait_until_read(self) -> None:
        """It is not read any more."""


class HostHistory:
    """The last values of a tensor, in buffers of the engine."""

    def __init__(self, engine: Engine, shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> None:
        self._engine, self._shape, self._dtype = engine, (shape[0], length, *shape[1:]), dtype
        self._kept: deque[NDArray[Any]] = deque([np.zeros(shape, dtype) for _ in range(length)], length)

    def room(self) -> Buffer:
        return self._engine.buffer(self._shape, self._dtype)

    def push(self, value: Value, into: Value) -> None:
        oldest = self._kept.popleft()
        np.copyto(oldest, value.host())
        self._kept.append(oldest)
        np.stack(list(self._kept), axis=1, out=into.host())

    def drop(self, room: Value) -> None:
        """Nothing to free."""


class HostSlot:
    """A slot whose outputs are in host memory."""

    outputs: Mapping[str, Any]

    def clear(self) -> None:
        for value in self.outputs.values():
            value.array[...] = 0


class HostExecutable:
    """A part whose slots are freed with their last reference."""

    def release(self, slot: Slot) -> None:
        """Nothing to free."""

    def close(self) -> None:
        """Nothing to free."""


class HostEngine:
    """An engine with no state per thread."""

    def attach(self) -> None:
        """A worker's thread needs no preparation."""

    def detach(self) -> None:
        """Nothing to undo."""

    def trace_to(self, trace: Trace) -> None:
        """Its work is in the spans of the workers."""

    def drop(self, buffer: Buffer) -> None:
        """Nothing to free."""

    def history(self: Engine, shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> HostHistory:
        return HostHistory(self, shape, dtype, length)

    def close(self) -> None:
        """Nothing to free."""
