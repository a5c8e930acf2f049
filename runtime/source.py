"""What every source is: a camera, a microphone and a text box are peers of the same kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Capture(Struct, frozen=True):
    """One thing that was captured, before the loop numbers it. See Sample for the two stamps.

    The payload, by the input's modality: image, video: uint8 [height, width, 3] in BGR as OpenCV gives it, or Planes
    (np.asarray makes the same of both); audio: a SoundBlock; text: str; vector: float32 [size].
    """

    t_ns: int
    payload: Any
    shift_ns: int = 0
    until_ns: int | None = None  # where it spans a time, as sound does: the end of it


class Opened(Struct, frozen=True):
    """What a source turned out to be. `detail` is for people and names what was asked and what is given where they
    differ.
    """

    detail: str
    period_ns: int | None = None  # between two captures, where it is known; silence for longer than a few is a stall
    ready: bool = False  # the first read() gives at once: it is made before the first tick, so that no tick misses it
    facts: tuple[tuple[str, str], ...] = ()


class Source(Protocol):
    """Gives one input's captures. Made without touching the device; then used by one thread, but for `interrupt`.

    A driver never retries: it raises DeviceError where the device is not there or may not be used, SourceLostError
    where it stopped giving, and the session decides when to open it again. After close() open() must work again.
    """

    name: str  # how events call it: camera, mic, text
    input: str  # the bundle's input it feeds
    live: bool  # a live source is never waited for; a played one loses nothing and ends

    def open(self) -> Opened: ...

    def read(self) -> Capture | None:
        """Blocks until there is something. None: it has ended, or was interrupted."""

    def interrupt(self) -> None:
        """From any thread: makes a waiting read() return soon, where the driver allows it. open() forgets it."""

    def figures(self) -> Mapping[str, float]:
        """What the driver itself counted and measured since open(), such as what it lost. From any thread."""

    def close(self) -> None: ...
