"""Compares the length of a video file with the lengths that it declares: a decoder ends at either without a word."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

# Boxes at the top of an MP4 or MOV file. What follows an unknown one is not judged: some recorders append other data.
BOXES = frozenset(b"ftyp moov mdat moof free skip wide uuid pdin sidx styp mfra meta udta".split())
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
UNKNOWN_SIZE = 0  # written by recorders that stream


def missing_bytes(path: Path) -> str:
    """What is missing at the end of the file, in words. Empty: nothing, or the format does not declare its length."""
    there = path.stat().st_size
    with path.open("rb") as file:
        declared = _declared_end(file, there)
    return f"it has {there:,} of {declared:,} bytes" if declared > there else ""


def _declared_end(file: BinaryIO, there: int) -> int:
    head = file.read(12)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:4] == EBML:
        return _end_of_segment(file)
    return _end_of_boxes(file, there)


def _end_of_boxes(file: BinaryIO, there: int) -> int:
    end = 0
    while end + 8 <= there:
        file.seek(end)
        size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if kind not in BOXES or size < 8:  # 0: up to the end of the file
            break
        end += size
    return end


def _end_of_segment(file: BinaryIO) -> int:
    """Matroska: a head, then one segment that holds everything."""
    file.seek(len(EBML))
    file.seek(_size(file), os.SEEK_CUR)
    if file.read(4) != SEGMENT:
        return 0
    size = _size(file)
    return file.tell() + size if size else 0


def _size(file: BinaryIO) -> int:
    """A size of one to eight bytes; the zeros before its first bit say how many more follow."""
    first = int.from_bytes(file.read(1), "big")
    more = 8 - first.bit_length()
    if more > 7:
        return UNKNOWN_SIZE
    size = int.from_bytes(bytes([first & (0x7F >> more)]) + file.read(more), "big")
    all_ones = (1 << (7 * (more + 1))) - 1
    return UNKNOWN_SIZE if size == all_ones else size
