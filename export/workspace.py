"""Where one export works: its recipe, its temporary folder, its store of finished steps, its progress."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.atomic_write import PARTIAL, make_folder
from mm_edge.cache_limit import drop_least_recently_used, remove_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from .feeds import Feed
    from .recipe import Recipe

MOST_BYTES = 4 << 30  # of all entries of the store


@dataclass(frozen=True)
class Workspace:
    """What every stage receives besides the record of the stage before it."""

    recipe: Recipe
    folder: Path  # removed when the export ends
    store: Store
    progress: Progress


class Store:
    """One folder for each entry: a record and a graph. Several processes may use it at the same time.

    An entry is renamed into place and out of it, so that a reader finds all of it or nothing, and a reader gets a file
    of its own, which stays when another process removes the entry.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self.used: list[str] = []

    def get(self, key: str, target: Path) -> dict[str, Any] | None:
        """The record, with the graph in the file `target`; None if there is no entry, or a damaged one."""
        self.used.append(key)
        entry = self.folder / key
        try:
            record = json.loads((entry / "record.json").read_text(encoding="utf-8"))
            _link_or_copy(entry / "graph.onnx", target)
            os.utime(entry)
            if _digest_of_file(target) == record.pop("sha256"):
                return dict(record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        target.unlink(missing_ok=True)
        return None

    def put(self, key: str, record: dict[str, Any], file: Path) -> None:
        """A store that cannot be written to costs time after an interruption, not the export."""
        try:
            make_folder(self.folder)
            partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=self.folder))
        except OSError:
            return
        try:
            shutil.copyfile(file, partial / "graph.onnx")
            record = {**record, "sha256": _digest_of_file(file)}
            (partial / "record.json").write_text(json.dumps(record), encoding="utf-8")
            partial.rename(self.folder / key)
        except OSError:  # also if another process has stored the same entry meanwhile
            shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            drop_least_recently_used(self.folder.iterdir(), self.most_bytes)

    def clear(self) -> None:
        """Removes the entries that this export used."""
        for key in self.used:
            remove_entry(self.folder / key)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _digest_of_file(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


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


class Progress(Protocol):
    """Receives the steps of an export. `number` of `count` steps that belong together."""

    def step(self, name: str, number: int = 0, count: int = 0) -> AbstractContextManager[None]: ...


class Silent:
    """Reports nothing: the default when the export is used as a library."""

    def step(self, name: str, number: int = 0, count: int = 0) -> AbstractContextManager[None]:
        del name, number, count
        return nullcontext()


class TerminalProgress:
    """Shows the running step on a terminal, and prints one line for each finished step."""

    def __init__(self) -> None:
        from mm_edge.console import SafeConsole

        self._console = SafeConsole(stderr=True, highlight=False)
        self._first_started = 0.0

    @contextmanager
    def step(self, name: str, number: int = 0, count: int = 0) -> Iterator[None]:
        start = time.monotonic()
        if number <= 1:
            self._first_started = start
        shown = f"{name} ({number} of {count}{self._left(number, count)})" if count else name
        with self._console.status(shown) if self._console.is_terminal else nullcontext():
            yield
        self._console.print(f"  {shown}: {time.monotonic() - start:.1f} s", markup=False)

    def _left(self, number: int, count: int) -> str:
        """Estimates that each remaining step takes as long as the average so far."""
        done = number - 1
        if done < 1:
            return ""
        left = (time.monotonic() - self._first_started) / done * (count - done)
        return f", about {left:.0f} s left"
