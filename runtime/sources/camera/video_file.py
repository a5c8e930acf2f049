"""A video file played as a camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import InputError
from mm_edge.runtime.clock import NS_PER_S
from mm_edge.runtime.source import Capture, Opened
from mm_edge.runtime.sources.missing_bytes import missing_bytes

from .choose_decoder import open_decoder, which_decoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.config import Decoder
    from mm_edge.runtime.sources.play import PlayClock

    from .video_decoder import VideoDecoder

USUAL_FPS = 30.0  # for a file without a frame rate


class VideoFile:
    """Plays every image at its time in the file. Nothing is lost: a slow reader slows down playback."""

    live = False

    def __init__(self, input_name: str, path: Path, play: PlayClock, decoder: Decoder = "auto") -> None:
        self.name, self.input = "camera", input_name
        self._path, self._which = path, which_decoder(decoder, play.speed)
        self._play, self._seat = play, play.seat(leads=True)
        self._decoder: VideoDecoder | None = None
        self._period_ns = round(NS_PER_S / USUAL_FPS)
        self._media_ns, self._unstamped, self._images = -1, 0, 0

    def open(self) -> Opened:
        self._decoder = decoder = open_decoder(self._which, self._path, self._play.speed)
        fps = decoder.fps if 0 < decoder.fps < 1000 else USUAL_FPS
        self._period_ns, self._media_ns = round(NS_PER_S / fps), -1
        self._unstamped = self._images = 0
        self._play.open(self._seat)
        length = f", {decoder.seconds:.1f} s" if decoder.seconds > 0 else ""
        size = f"{decoder.width}x{decoder.height}"
        return Opened(
            f"{self._path.name}, {size} at {fps:.4g} fps{length}, decoded by {decoder.name}",
            period_ns=self._period_ns,
            facts=(("decoder", decoder.name),),
        )

    def read(self) -> Capture | None:
        decoded = self._decoder.read() if self._decoder is not None else None
        if decoded is None:
            self._play.leave(self._seat)
            self._check_end()
            return None
        self._images += 1
        media_ns = self._stamp(decoded.media_ns)
        shift_ns = self._play.wait(self._seat, media_ns)
        return None if shift_ns is None else Capture(self._play.stamp_ns(media_ns), decoded.picture, shift_ns)

    def _check_end(self) -> None:
        """Raises an InputError if images are missing: at the end, or in between."""
        if fault := (self._decoder.fault if self._decoder is not None else "") or missing_bytes(self._path):
            at_s = max(0, self._media_ns) / NS_PER_S
            raise InputError(
                f"the file breaks off after image {self._images}, at {at_s:.2f} s: {fault}",
                action=f"playing {self._path}",
                hint="Record or copy the file again; everything before that was delivered",
            )

        if undecoded := self._decoder.undecoded() if self._decoder is not None else 0:
            raise InputError(
                f"{undecoded} of {self._images + undecoded} images could not be decoded",
                action=f"playing {self._path}",
                hint="The file is damaged: record or copy it again; the other images were delivered",
            )

    def _stamp(self, media_ns: int | None) -> int:
        """The image's time in the file, or one period after the previous one if it is missing or does not advance."""
        if media_ns is None or media_ns <= self._media_ns:
            media_ns = self._media_ns + self._period_ns
            self._unstamped += 1
        self._media_ns = media_ns
        return media_ns

    def interrupt(self) -> None:
        self._play.leave(self._seat)

    def figures(self) -> Mapping[str, float]:
        return {"unstamped": self._unstamped, **(self._decoder.figures() if self._decoder is not None else {})}

    def close(self) -> None:
        self._play.leave(self._seat)
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()
