"""Decodes video files with PyAV (extra `video`), to FFmpeg's own planes, neither copied nor converted."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from mm_edge.runtime.clock import NS_PER_S
from mm_edge.runtime.picture import Planes, colours

from .video_decoder import Decoded, unreadable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# Formats of three 8-bit planes. In the old ones with a j, black is 0, as in any stream marked as full range.
PLANAR = {f"yuv{j}{ratio}p" for j in ("", "j") for ratio in ("410", "411", "420", "422", "440", "444")}
FULL_RANGE = 2
# The luma weights of red and blue, by FFmpeg's number of the color space. An unspecified one (2) is treated as BT.601,
# as FFmpeg and OpenCV do.
BT601, BT709, SMPTE240, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.212, 0.087), (0.2627, 0.0593)
SHARES = {1: BT709, 2: BT601, 5: BT601, 6: BT601, 7: SMPTE240, 9: BT2020}
# The rotation in a phone's video file, counterclockwise.
ROTATIONS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    -90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


class PyavDecoder:
    """Broken packets are skipped and counted."""

    name = "PyAV"

    def __init__(self, path: Path, threads: int) -> None:
        self._undecoded, self._bgr, self.fault = 0, BgrOf(), ""
        try:
            self._container = av.open(str(path), metadata_errors="ignore")
        except FFmpegError:
            raise unreadable(path) from None
        stream = self._container.streams.best("video")
        if not isinstance(stream, av.VideoStream) or stream.time_base is None:
            raise unreadable(path)
        if getattr(stream, "codec_context", None) is None:  # the head is damaged, or the codec unknown
            raise unreadable(path)
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO" if threads > 1 else "NONE"
        tick = stream.time_base.numerator / stream.time_base.denominator
        self._stream, self._start, self._ns_a_tick = stream, stream.start_time or 0, tick * NS_PER_S
        self._pictures = self._decode()
        self._first = next(self._pictures, None)  # the rotation is known only from an image
        if self._first is None:
            raise unreadable(path)
        self.height, self.width = self._first.picture.shape[:2]
        self.fps = float(stream.guessed_rate or 0)
        self.seconds = stream.duration * tick if stream.duration else (self._container.duration or 0) / av.time_base

    def read(self) -> Decoded | None:
        first, self._first = self._first, None
        return first or next(self._pictures, None)

    def undecoded(self) -> int:
        return self._undecoded

    def figures(self) -> Mapping[str, float]:
        return {"undecoded": self._undecoded}

    def close(self) -> None:
        """Images still referenced stay valid: each keeps its own memory."""
        self._first = None
        self._pictures.close()
        self._container.close()

    def _decode(self) -> Generator[Decoded]:
        for frame in self._frames():
            ticks = frame.dts if frame.pts is None else frame.pts
            media_ns = None if ticks is None else round((ticks - self._start) * self._ns_a_tick)
            yield Decoded(media_ns, self._picture(frame))

    def _frames(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self.fault = f"{error.strerror}"
                yield from self._stream.decode(None)  # what the decoder has buffered
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except FFmpegError:
                self._undecoded += 1
                continue
            yield from frames

    def _picture(self, frame: av.VideoFrame) -> Planes | NDArray[np.uint8]:
        rotation = ROTATIONS.get(frame.rotation)
        whole = partial(self._bgr, frame, rotation)
        shares, layout, memory = SHARES.get(frame.colorspace), frame.format.name, frame.planes
        upside_down = memory[0].line_size < 0
        if shares is None or layout not in PLANAR or upside_down:
            return whole()
        planes = [as_array(plane, (plane.height, plane.width), (plane.line_size, 1)) for plane in memory]
        if rotation is not None:
            planes = [cv2.rotate(plane, rotation) for plane in planes]  # type: ignore[misc]  # OpenCV's stubs have no dtype
        full = frame.color_range == FULL_RANGE or layout.startswith("yuvj")
        return Planes(planes, colours(*shares, full=full), whole)


def count_images(path: Path) -> int:
    """By the packets of the file, without decoding them; 0 if the container has no list of them."""
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream) or not stream.frames:
            return 0
        return sum(packet.size > 0 and not packet.is_discard for packet in container.demux(stream))


class BgrOf:
    """FFmpeg's conversion of a whole image, for any thread. Locked, because conversions share one FFmpeg context."""

    def __init__(self) -> None:
        self._lock, self._reformatter = threading.Lock(), VideoReformatter()

    def __call__(self, frame: av.VideoFrame, rotation: int | None) -> NDArray[np.uint8]:
        with self._lock:
            converted = self._reformatter.reformat(frame, format="bgr24", threads=1)
        (plane,) = converted.planes
        picture = as_array(plane, (converted.height, converted.width, 3), (plane.line_size, 3, 1))
        return picture if rotation is None else cv2.rotate(picture, rotation)  # type: ignore[return-value]


def as_array(memory: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[np.uint8]:
    """FFmpeg's memory as an array; rows may be padded. The array keeps the frame alive."""
    array: NDArray[np.uint8] = np.ndarray(shape, np.uint8, memory, strides=strides)
    return array
