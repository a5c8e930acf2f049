"""The interface of a source: cameras, microphones and text inputs all have the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Capture(Struct, frozen=True):
    """One capture, before the loop numbers it. Sample explains the two timestamps.

    The payload, by the input's modality: image, video: uint8 [height, width, 3] in BGR as OpenCV gives it, or Planes
    (np.asarray converts either); audio: a SoundBlock; text: str; vector: float32 [size].
    """

    t_ns: int
    payload: Any
    shift_ns: int = 0
    until_ns: int | None = None  # the end of a capture that spans time, such as sound


class Opened(Struct, frozen=True):
    """The properties of an opened source. `detail` is text for people; it names what was requested and what was found
    if they differ.
    """

    detail: str
    period_ns: int | None = None  # between two captures, if known; silence for several periods is a stall
    ready: bool = (
        False  # the first read() returns at once: it is called before the first tick, so that no tick misses it
    )
    facts: tuple[tuple[str, str], ...] = ()


class Source(Protocol):
    """Produces the captures of one input. Created without opening the device, then used by one thread, except for
    `interrupt`.

    A driver never retries: it raises DeviceError if the device is absent or not permitted, and SourceLostError if it
    stopped working; the run decides when to open it again. After close(), open() must work again.
    """

    name: str  # its name in events: camera, mic, text
    input: str  # the bundle's input it feeds
    live: bool  # a live source is never waited for; a played one loses nothing and ends

    def open(self) -> Opened: ...

    def read(self) -> Capture | None:
        """Blocks until the next capture. None: it has ended, or was interrupted."""

    def interrupt(self) -> None:
        """From any thread: makes a waiting read() return soon, if the driver allows it. open() resets it."""

    def figures(self) -> Mapping[str, float]:
        """Counts and measurements of the driver since open(), such as losses. From any thread."""

    def close(self) -> None: ...
