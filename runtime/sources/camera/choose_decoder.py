"""Chooses which of the two video decoders reads a file, and opens it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from mm_edge.cores import usable_cores
from mm_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.config import Decoder
    from mm_edge.runtime.sources.play import Speed

    from .video_decoder import VideoDecoder

# At most half of the cores, so that the workers keep theirs.
MOST_THREADS: Mapping[Speed, int] = {"real": 2, "max": 4}


def which_decoder(requested: Decoder, speed: Speed) -> Decoder:
    """`auto` selects PyAV if it is installed and files play at full speed. At real speed the time to load PyAV is not
    regained (docs/decisions/0034).
    """
    installed = find_spec("av") is not None
    if requested == "pyav" and not installed:
        raise MissingExtraError("av", "video")
    if requested == "auto":
        return "pyav" if installed and speed == "max" else "opencv"
    return requested


def open_decoder(which: Decoder, path: Path, speed: Speed) -> VideoDecoder:
    threads = max(1, min(MOST_THREADS[speed], usable_cores() // 2))
    if which == "pyav":
        from .pyav_decoder import PyavDecoder

        return PyavDecoder(path, threads)
    from .opencv_decoder import OpencvDecoder

    return OpencvDecoder(path, threads)
