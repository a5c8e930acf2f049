"""Keeps what an interrupted export has finished, by digest of all it was made from; a finished one leaves nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .feeds import Feed


class Store:
    """Files with a record each. What is there is whole: it was renamed into place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: list[str] = []

    def get(self, key: str) -> tuple[dict[str, Any], Path] | None:
        self.used.append(key)
        record, file = self.folder / key / "record.json", self.folder / key / "graph.onnx"
        try:
            return json.loads(record.read_text(encoding="utf-8")), file
        except (OSError, ValueError):
            return None

    def put(self, key: str, record: dict[str, Any], file: Path) -> None:
        """A store that cannot be written to costs time after an interruption, not the export."""
        partial = self.folder / f".{key}.{os.getpid()}"
        try:
            partial.mkdir(parents=True)
            shutil.copyfile(file, partial / "graph.onnx")
            (partial / "record.json").write_text(json.dumps(record), encoding="utf-8")
            partial.rename(self.folder / key)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)

    def clear(self) -> None:
        """Forgets what this export used."""
        for key in self.used:
            shutil.rmtree(self.folder / key, ignore_errors=True)


def digest_of(*parts: str | bytes) -> str:
    sha = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        sha.update(f"{len(content)}:".encode())
        sha.update(content)
    return sha.hexdigest()


def digest_of_feeds(feeds: Iterable[Feed]) -> str:
    import numpy as np

    sha = hashlib.sha256()
    for feed in feeds:
        for name in sorted(feed):
            sha.update(f"{name} {feed[name].dtype} {feed[name].shape}\n".encode())
            sha.update(np.ascontiguousarray(feed[name]).tobytes())
    return sha.hexdigest()
