"""Writes a file completely or not at all: under a temporary name in the same folder first, then renamed."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIAL = ".partial-"  # the prefix of a temporary file, which a killed writer may leave behind


def make_folder(folder: Path) -> None:
    """With its parents; what is created is accessible to this user only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def atomic_write(path: Path, content: bytes) -> None:
    """Raises an OSError if the disk does not take it; the previous file is unchanged then."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path for a library that writes by file name; it becomes `path` when the block ends without error."""
    make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
