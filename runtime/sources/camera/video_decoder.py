"""What every video decoder is: it reads one file, picture by picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mm_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Decoded(NamedTuple):
    """One picture: BGR or Planes, and its time in the file, None where the file does not tell."""

    media_ns: int | None
    picture: Any


class VideoDecoder(Protocol):
    """Takes one file apart, picture after picture, for one thread. Made with the file opened."""

    name: str
    width: int
    height: int
    fps: float  # 0: the file does not tell
    seconds: float  # 0: the file does not tell

    def read(self) -> Decoded | None:
        """None: the file has ended."""

    def figures(self) -> Mapping[str, float]: ...

    def close(self) -> None: ...


def unreadable(path: Path) -> InputError:
    return InputError("no pictures can be read from it", action=f"playing {path}", hint="Try: ffprobe FILE")
