"""What engines in host memory share: nothing waits there, nothing is pushed, and nothing has to be given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.runtime.engine import Slot
    from mm_edge.runtime.trace import Trace


class HostTensor:
    """A tensor in host memory. It has been computed, and has been read, when the call that does so returns."""

    __slots__ = ("array",)

    array: NDArray[Any]

    def host(self) -> NDArray[Any]:
        return self.array

    def wait_until_read(self) -> None:
        """Nobody reads it any more."""


class HostSlot:
    """A slot whose outputs are in host memory."""

    outputs: Mapping[str, Any]

    def clear(self) -> None:
        for value in self.outputs.values():
            value.array[...] = 0


class HostExecutable:
    """A part whose slots need no owner: they go when nobody holds them."""

    def release(self, slot: Slot) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing is held."""


class HostEngine:
    """An engine that needs nothing of its threads."""

    def attach(self) -> None:
        """A lane's thread needs nothing here."""

    def detach(self) -> None:
        """Nor at its end."""

    def trace_to(self, trace: Trace) -> None:
        """What it computes is in the lanes' spans."""

    def close(self) -> None:
        """Nothing is held."""
