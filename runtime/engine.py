"""What every engine is: a way of running a bundle's graphs, on the CPU or on a device."""

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
    """A device has too little memory for what was asked; with fewer moments in flight it may do."""


class Value(Protocol):
    """A tensor, wherever it lives. It is owned by the slot or the buffer that made it and is good until that is reused.

    On a device it carries an event: whoever reads it on another stream waits for the event there, not on the host.
    """

    def host(self) -> NDArray[Any]:
        """The numbers on the host, after waiting for whoever still computes them. Not a copy where they are there
        already.
        """


class Buffer(Value, Protocol):
    """Host memory that `prepare` writes into and parts read from: plain on the CPU, pinned where a device copies from
    it.
    """

    array: NDArray[Any]

    def wait_until_read(self) -> None:
        """Before it is written again: a device may still be copying what it held."""


class History(Protocol):
    """The last N values of a tensor, kept where the engine computes. Called by one thread at a time, in order."""

    def room(self) -> Value:
        """Room for one result: the last N, oldest first, along a new axis 1; zeros at first."""

    def push(self, value: Value, into: Value) -> None:
        """Takes `value` in as the newest, drops the oldest, and puts the last N into such a room."""

    def drop(self, room: Value) -> None:
        """Gives a room's memory back before the engine is closed."""


class Slot(Protocol):
    """One set of buffers of an executable, so that several moments can be in flight."""

    @property
    def outputs(self) -> Mapping[str, Value]: ...

    def run(self, inputs: Sequence[Value]) -> None:
        """Runs the graph on `inputs`, in the order of the part's `takes`. On a device it may return once all is
        enqueued.
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
        """`to_host`: the outputs that will be read on the host; a device sends them there without being asked."""

    def release(self, slot: Slot) -> None:
        """Gives a slot's memory back before the executable is closed."""

    def close(self) -> None: ...


class Engine(Protocol):
    """Loads parts. `shapes` fixes every named dimension of the part's inputs and outputs, by tensor name."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> Family: ...

    @property
    def golden_tolerance(self) -> float | None:
        """How far its results may be from the export's. None: it is what the export itself was proven on."""

    def attach(self) -> None:
        """Called by each lane's thread before it first runs anything."""

    def detach(self) -> None:
        """Called by each lane's thread at its end."""

    def trace_to(self, trace: Trace) -> None:
        """For devices: tell when they computed. Called before any slot is made."""

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer: ...

    def drop(self, buffer: Buffer) -> None:
        """Gives a buffer's memory back before the engine is closed."""

    def history(self, shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> History:
        """Of values of that shape, batch first; zeros before there were any."""

    def load(
        self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, tuple[int, ...]], threads: int
    ) -> Executable: ...

    def describe(self) -> dict[str, Any]:
        """What really runs: versions, provider, device, and every fallback with its reason."""

    def close(self) -> None:
        """Frees its buffers, once its executables are closed."""
