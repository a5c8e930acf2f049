"""What takes a video file apart, and which of the two that there are does it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mm_edge.errors import InputError, MissingExtraError
from mm_edge.runtime.engines.selection.choose import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.config import Decoder
    from mm_edge.runtime.sources.play import Speed

# At most half of the cores, so that the lanes keep theirs.
MOST_THREADS: Mapping[Speed, int] = {"real": 2, "max": 4}


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


def which_decoder(requested: Decoder, speed: Speed) -> Decoder:
    """PyAV where it is there and pays: to load it takes as long as it saves in a hundred pictures, which at real pace
    nobody waits for (docs/decisions/0034).
    """
    there = find_spec("av") is not None
    if requested == "pyav" and not there:
        raise MissingExtraError("av", "video")
    if requested == "auto":
        return "pyav" if there and speed == "max" else "opencv"
    return requested


def open_decoder(which: Decoder, path: Path, speed: Speed) -> VideoDecoder:
    threads = max(1, min(MOST_THREADS[speed], usable_cores() // 2))
    if which == "pyav":
        from .pyav_decoder import PyavDecoder

        return PyavDecoder(path, threads)
    from .opencv_decoder import OpencvDecoder

    return OpencvDecoder(path, threads)


def unreadable(path: Path) -> InputError:
    return InputError("no pictures can be read from it", action=f"playing {path}", hint="Try: ffprobe FILE")
