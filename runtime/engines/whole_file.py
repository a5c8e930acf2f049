"""Writes a file all or nothing, beside its name and then under it, for nobody else to change."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PARTIAL = ".partial-"  # how a file begins that a killed writer may leave behind


def make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_whole(path: Path, content: bytes) -> None:
    """Raises an OSError where the disk does not take it; then what was there is there still."""
    make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
