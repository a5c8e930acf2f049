"""The interface of an engine, which runs a bundle's graphs on the CPU or on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mm_edge.bundle.manifest import Family, Part, Precision

    from .trace import Trace


class DeviceMemoryError(EngineError):
    """The device has too little memory; with fewer moments in flight it may be enough."""


class Value(Protocol):
    """A tensor on the host or on a device. It is owned by the slot or buffer that made it, and valid until that is
    reused.

    On a device it carries an event: a reader on another stream waits for the event there, not on the host.
    """

    def host(self) -> NDArray[Any]:
        """The values on the host, after waiting until they are computed. Not a copy if they are there already."""


class Buffer(Value, Protocol):
    """Host memory that `prepare` writes and parts read: plain on the CPU, pinned if a device copies from it."""

    array: NDArray[Any]

    def wait_until_read(self) -> None:
        """Called before it is written again: a device may still be copying its content."""


class History(Protocol):
    """The last N values of a tensor, stored where the engine computes. Called by one thread at a time, in order."""

    def room(self) -> Value:
        """Memory for one result: the last N values, oldest first, along a new axis 1; zeros at first."""

    def push(self, value: Value, into: Value) -> None:
        """Adds `value` as the newest, drops the oldest, and writes the last N values to a room."""

    def drop(self, room: Value) -> None:
        """Frees the memory of a room before the engine is closed."""


class Slot(Protocol):
    """One set of buffers of an executable, so that several moments can be in flight."""

    @property
    def outputs(self) -> Mapping[str, Value]: ...

    def run(self, inputs: Sequence[Value]) -> None:
        """Runs the graph on `inputs`, in the order of the part's `takes`. On a device it may return once everything
        is enqueued.
        """

    def clear(self) -> None:
        """Zeros in every output."""


class Executable(Protocol):
    """One part, loaded."""

    @property
    def part(self) -> Part: ...

    @property
    def precision(self) -> Precision: ...

    def slot(self, to_host: Collection[str] = ()) -> Slot:
        """`to_host`: the outputs that will be read on the host; a device copies them there right after the run."""

    def release(self, slot: Slot) -> None:
        """Frees the memory of a slot before the executable is closed."""

    def close(self) -> None: ...


class Engine(Protocol):
    """Loads parts. `shapes` fixes every named dimension of the part's inputs and outputs, by tensor name."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> Family: ...

    @property
    def golden_tolerance(self) -> float | None:
        """The largest relative error in the golden check. None: the export was verified on this engine itself."""

    def attach(self) -> None:
        """Called in each worker's thread before it runs anything."""

    def detach(self) -> None:
        """Called in each worker's thread at its end."""

    def trace_to(self, trace: Trace) -> None:
        """For devices: records when they computed. Called before any slot is made."""

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer: ...

    def drop(self, buffer: Buffer) -> None:
        """Frees the memory of a buffer before the engine is closed."""

    def history(self, shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> History:
        """A history of values of that shape, batch first; zeros at first."""

    def load(
        self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, tuple[int, ...]], threads: int
    ) -> Executable: ...

    def describe(self) -> dict[str, Any]:
        """What really runs: versions, provider, device, and every fallback with its reason."""

    def close(self) -> None:
        """Frees its buffers, once its executables are closed."""
