"""What a library that computes on the GPU brings: a part compiled, and contexts that put it on a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pycuda.driver import Stream

Dims = tuple[int, ...]


class Context(Protocol):
    """What one slot runs: bound to addresses once, enqueued from then on."""

    def bind(self, shapes: Mapping[str, Dims], addresses: Mapping[str, int]) -> None: ...

    def enqueue(self, stream: int) -> None: ...


class Compiled(Protocol):
    """A part as a library has it on the device. `stream`: the only one that it computes on, where it is so bound;
    `host_work_once`: what it has the host do in between must not be done again by a graph. `runs_until_steady`: how
    often it runs before the loop may use it.
    """

    @property
    def label(self) -> str: ...

    @property
    def stream(self) -> Stream | None: ...

    @property
    def host_work_once(self) -> bool: ...

    @property
    def runs_until_steady(self) -> int: ...

    def context(self) -> Context: ...
