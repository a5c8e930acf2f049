"""Keeps a cache folder within a size: the entries that were not used for the longest time are removed."""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def drop_least_recently_used(entries: Iterable[Path], most_bytes: int) -> list[Path]:
    """Removes the oldest entries, files or folders, until the rest fits; returns what was removed.

    The modification time of an entry is its last use: a reader sets it. The newest entry stays, whatever its size.
    Several processes may do this at the same time: an entry that another one removes meanwhile is skipped.
    """
    found = []
    for entry in entries:
        with suppress(OSError):
            found.append((entry.stat().st_mtime_ns, _size(entry), entry))
    total = sum(size for _, size, _ in found)
    dropped = []
    for _, size, entry in sorted(found)[:-1]:
        if total <= most_bytes:
            break
        remove_entry(entry)
        dropped.append(entry)
        total -= size
    return dropped


def remove_entry(entry: Path) -> None:
    """In one step for a reader, who finds all of a folder or nothing. No error if it cannot be removed."""
    with suppress(OSError):
        if not entry.is_dir():
            entry.unlink()
            return
        removed = entry.with_name(f".removed-{uuid.uuid4().hex}")
        entry.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def _size(entry: Path) -> int:
    if not entry.is_dir():
        return entry.stat().st_size
    return sum(file.stat().st_size for file in entry.iterdir())
