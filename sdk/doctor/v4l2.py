"""Queries the identity and modes of a V4L2 camera with ioctl calls, which no dependency offers."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# linux/videodev2.h: the number of each call includes the size of its struct.
QUERY_CAPABILITY, ENUM_FORMAT, ENUM_SIZE, ENUM_INTERVAL = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FORMAT = struct.Struct("=III32s4s16x")
_SIZE = struct.Struct("=I4sI6I8x")
_INTERVAL = struct.Struct("=I4sIII6I8x")
CAPTURE, CAPTURE_PLANES, HAS_DEVICE_CAPABILITIES = 0x1, 0x1000, 0x80000000
DISCRETE = 1
MOST_ANSWERS = 256  # per listing, in case a driver never ends it


def describe(path: Path) -> dict[str, Any] | None:
    """Name, driver, bus and modes of a camera; None for a device that cannot capture (many cameras have one)."""
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(descriptor, QUERY_CAPABILITY, bytes(_CAPABILITY.size))
        driver, card, bus, _, whole, device = _CAPABILITY.unpack(answer)
        can = device if whole & HAS_DEVICE_CAPABILITIES else whole
        if not can & (CAPTURE | CAPTURE_PLANES):
            return None
        kind = 1 if can & CAPTURE else 9
        return {
            "name": _text(card),
            "driver": _text(driver),
            "bus": _text(bus),
            "modes": list(_modes(descriptor, kind)),
        }
    finally:
        os.close(descriptor)


def _modes(descriptor: int, kind: int) -> Iterator[dict[str, Any]]:
    for _, _, _, _, pixels in _all(descriptor, ENUM_FORMAT, _FORMAT, lambda index: (index, kind, 0, b"", b"")):
        for size in _sizes(descriptor, pixels):
            yield {
                "format": pixels.decode("ascii", "replace").strip(),
                "size": size,
                "fps": _rates(descriptor, pixels, size),
            }


def _sizes(descriptor: int, pixels: bytes) -> Iterator[tuple[int, int]]:
    """Each size; the two ends of a range."""
    for _, _, kind, *numbers in _all(descriptor, ENUM_SIZE, _SIZE, lambda index: (index, pixels, 0, *[0] * 6)):
        if kind == DISCRETE:
            yield numbers[0], numbers[1]
        else:
            yield numbers[0], numbers[3]
            yield numbers[1], numbers[4]


def _rates(descriptor: int, pixels: bytes, size: tuple[int, int]) -> list[float]:
    rates = set()
    query = lambda index: (index, pixels, *size, 0, *[0] * 6)  # noqa: E731  # shorter than a function, used once
    for _, _, _, _, kind, *numbers in _all(descriptor, ENUM_INTERVAL, _INTERVAL, query):
        fractions = [numbers[:2]] if kind == DISCRETE else [numbers[:2], numbers[2:4]]
        rates |= {round(below / above, 2) for above, below in fractions if above}
    return sorted(rates, reverse=True)


def _all(descriptor: int, call: int, form: struct.Struct, query: Any) -> Iterator[tuple[Any, ...]]:
    """All entries of a listing call: queried by index until the driver reports the end."""
    for index in range(MOST_ANSWERS):
        try:
            yield form.unpack(fcntl.ioctl(descriptor, call, form.pack(*query(index))))
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOTTY}:
                return
            raise


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")
