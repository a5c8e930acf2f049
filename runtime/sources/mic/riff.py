"""Reads WAV files: PCM with 8, 16, 24 and 32 bits and floats, also with the extensible header.

The standard library's `wave` rejects floats and, before Python 3.12, the extensible header, which ffmpeg and most
recorders write for 24 bits.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from msgspec import Struct

from mm_edge.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN_LENGTH = 0xFFFFFFFF  # written by recorders that stream and never update the header


class Wav(Struct, frozen=True):
    """The samples of a WAV file, read on demand."""

    rate: int
    channels: int
    kind: str  # for display: PCM 16 bit
    samples: int  # per channel
    missing: str  # what the header declares and the file lacks, in words
    _raw: NDArray[np.uint8]  # [samples, channels, bytes], mapped from the file
    _float: bool

    def mono(self, first: int, count: int) -> NDArray[np.float32]:
        """The mean of the channels, in [-1, 1]."""
        raw = self._raw[first : first + count]
        # Floats may hold anything: what is not finite is refused when it becomes an input.
        with np.errstate(over="ignore", invalid="ignore"):
            mean: NDArray[np.float32] = _to_float(raw, self._float).mean(axis=1, dtype=np.float32)
        return mean


def read_wav(path: Path) -> Wav:
    action = f"reading the WAV file {path}"
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            raise InputError("not a WAV file", action=action, hint=f"Convert it: ffmpeg -i {path.name} sound.wav")
        layout: tuple[int, int, int, int] | None = None
        while len(header := file.read(8)) == 8:
            name, size = header[:4], int.from_bytes(header[4:], "little")
            if name == b"fmt ":
                layout = _layout(file.read(size), action)
            elif name == b"data" and layout is not None:
                return _wav(path, file, size, layout, action)
            else:
                file.seek(size, 1)
            file.seek(size % 2, 1)  # chunks start at even offsets
    raise InputError(
        "the file contains no audio", action=action, hint="It may have been truncated while it was written"
    )


def _layout(chunk: bytes, action: str) -> tuple[int, int, int, int]:
    """Format, channels, rate, bytes per sample."""
    if len(chunk) < 16:
        raise InputError("the format chunk is truncated", action=action)
    form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if form == EXTENSIBLE and len(chunk) >= 26:
        form = int.from_bytes(chunk[24:26], "little")
    if (form, bits) not in {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)} or not channels:
        raise InputError(
            f"unsupported sample format (format {form}, {bits} bits, {channels} channels)",
            action=action,
            hint="Convert it: ffmpeg -i FILE -c:a pcm_s16le sound.wav",
        )
    if not 1_000 <= rate <= 768_000:
        raise InputError(f"unsupported sample rate {rate} Hz", action=action, hint="1,000 to 768,000 Hz are supported")
    return form, channels, rate, bits // 8


def _wav(path: Path, file: BinaryIO, size: int, layout: tuple[int, int, int, int], action: str) -> Wav:
    form, channels, rate, width = layout
    start = file.tell()
    available = path.stat().st_size - start
    declared = available if size in {0, UNKNOWN_LENGTH} else size
    samples = min(available, declared) // (channels * width)
    if samples == 0:
        raise InputError("the file contains no samples", action=action)
    missing = f"it has {available:,} of {declared:,} bytes of sound" if available < declared else ""
    raw = np.memmap(path, np.uint8, mode="r", offset=start, shape=(samples, channels, width))
    kind = f"{'float' if form == FLOAT else 'PCM'} {8 * width} bit"
    return Wav(rate, channels, kind, samples, missing, raw, form == FLOAT)


def _to_float(raw: NDArray[np.uint8], is_float: bool) -> NDArray[np.float32]:
    """[n, channels, bytes] to [n, channels]."""
    width = raw.shape[2]
    if is_float:
        floats: NDArray[np.float32] = np.ascontiguousarray(raw).view(f"<f{width}")[..., 0].astype(np.float32)
        return floats
    if width == 1:  # the only unsigned format
        unsigned: NDArray[np.float32] = raw[..., 0].astype(np.float32)
        unsigned -= 128
        unsigned /= 128
        return unsigned
    wide = np.zeros((*raw.shape[:2], 4), np.uint8)
    wide[..., 4 - width :] = raw
    whole: NDArray[np.float32] = wide.view("<i4")[..., 0].astype(np.float32) * np.float32(2**-31)
    return whole
