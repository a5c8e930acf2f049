"""A WAV file played as a microphone, hop by hop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mm_edge.errors import InputError
from mm_edge.runtime.clock import NS_PER_S
from mm_edge.runtime.sound import SoundBlock
from mm_edge.runtime.source import Capture, Opened

from .resampler import Resampler
from .riff import read_wav
from .ring import ring_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.runtime.sources.play import PlayClock
    from mm_edge.spec import AudioPrepare

READ_S = 0.5  # of the file per read


class WavFile:
    """Delivers each hop when its last sample is due, stamped with its first, like a microphone. Nothing is lost."""

    live = False

    def __init__(self, input_name: str, path: Path, prepare: AudioPrepare, play: PlayClock) -> None:
        self.name, self.input = "mic", input_name
        self._path, self._prepare = path, prepare
        self._play, self._seat = play, play.seat()

    def open(self) -> Opened:
        self._wav = read_wav(self._path)
        self._resampler = Resampler(self._wav.rate, self._prepare.sample_rate)
        self._ring = ring_for(self._prepare)
        self._read = 0  # samples of the file
        self._ready = np.empty(0, np.float32)  # at the model's rate, not yet in the ring
        self._play.open(self._seat)
        rate, hop = self._prepare.sample_rate, self._prepare.hop
        resampled = "" if self._wav.rate == rate else f", resampled to {rate} Hz"
        seconds = self._wav.samples / self._wav.rate
        detail = f"{self._path.name}, {self._wav.kind}, {self._wav.rate} Hz, {self._wav.channels} ch, {seconds:.1f} s"
        return Opened(detail + resampled, period_ns=hop * NS_PER_S // rate)

    def read(self) -> Capture | None:
        rate, first = self._prepare.sample_rate, self._ring.written
        hop = self._next_hop()
        end = first + len(hop)
        if end == first:
            self._play.leave(self._seat)
            if self._wav.missing:
                raise InputError(
                    f"the file breaks off at {self._wav.samples / self._wav.rate:.2f} s: {self._wav.missing}",
                    action=f"playing {self._path}",
                    hint="Record or copy the file again; everything before that was delivered",
                )
            return None
        shift_ns = self._play.wait(self._seat, end * NS_PER_S // rate)
        if shift_ns is None:
            return None
        self._ring.write(hop)
        t_ns, until_ns = (self._play.stamp_ns(sample * NS_PER_S // rate) for sample in (first, end))
        return Capture(t_ns, SoundBlock(self._ring, end, end - first), shift_ns, until_ns)

    def _next_hop(self) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """A hop, or the rest of the file."""
        hop, chunk = self._prepare.hop, round(READ_S * self._wav.rate)
        while len(self._ready) < hop and self._read < self._wav.samples:
            samples = self._wav.mono(self._read, chunk)
            self._read += len(samples)
            pushed = self._resampler.push(samples, last=self._read >= self._wav.samples)
            self._ready = np.concatenate((self._ready, pushed))
        given, self._ready = self._ready[:hop], self._ready[hop:]
        return given

    def interrupt(self) -> None:
        self._play.leave(self._seat)

    def figures(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        self._play.leave(self._seat)
