"""What a GPU library provides: a compiled part, and contexts that enqueue it on a stream."""

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
    """A part as a library has loaded it on the device. `stream`: the stream it is bound to, if any. `host_work_once`:
    it runs functions on the host that a graph must not repeat. `runs_until_steady`: how often it must run before the
    loop uses it.
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
