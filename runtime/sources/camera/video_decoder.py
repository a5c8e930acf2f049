"""The interface of video decoders, and the error for a file that cannot be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mm_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Decoded(NamedTuple):
    """One image: BGR or Planes, and its time in the file, None if the file has none."""

    media_ns: int | None
    picture: Any


class VideoDecoder(Protocol):
    """Decodes one file, image by image, on one thread. The file is open once it is constructed."""

    name: str
    width: int
    height: int
    fps: float  # 0: unknown
    seconds: float  # 0: unknown
    fault: str  # why the images ended early; empty while there is no reason to believe so

    def read(self) -> Decoded | None:
        """None: end of file."""

    def undecoded(self) -> int:
        """At the end of the file: images that it holds and that could not be decoded, as far as that is known."""

    def figures(self) -> Mapping[str, float]: ...

    def close(self) -> None: ...


def unreadable(path: Path) -> InputError:
    return InputError("no images can be decoded from the file", action=f"playing {path}", hint="Check it: ffprobe FILE")
