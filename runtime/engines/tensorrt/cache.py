"""Engines that this machine built, kept on disk: named by all that they depend on, checked before they are loaded.

An engine is code that runs with our rights. Only what lies in this folder under the digest that was taken when it was
built is loaded; anything else is built again, and why is told.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from mm_edge.atomic_write import PARTIAL, atomic_write, make_folder
from mm_edge.places import cache_folder

from .build_lock import BuildLock

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)
_MAGIC = b"mm-edge engine 1\n"
_MOST_HEAD_BYTES = 1 << 16
_OTHERS_MAY_WRITE = 0o022
# An engine that differs in these alone is of no use any more: a machine has one driver at a time.
_DEAD_WHEN_CHANGED = {"driver"}


@dataclass(frozen=True)
class Key:
    """All that an engine depends on."""

    onnx: str  # sha256 of the graph
    library: str  # tensorrt or tensorrt-rtx
    version: str
    options: str  # the build's options and shapes, as JSON
    capability: str  # compute capability, 8.7
    device: str
    driver: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def stem(self) -> str:
        """Begins with the graph's own digest, so that engines of one graph stand together."""
        return f"{self.onnx[:16]}-{self.digest[:16]}"

    def difference(self, other: Key) -> str:
        """What changed from `other` to this, in words."""
        mine, theirs = asdict(self), asdict(other)
        changed = [name for name in mine if mine[name] != theirs[name]]
        return ", ".join(
            "other build options" if name == "options" else f"{name} {theirs[name]} became {mine[name]}"
            for name in changed
        )


@dataclass(frozen=True)
class Kept:
    """An engine as it lies on disk, and how long its build took."""

    engine: bytes
    build_s: float
    shown: str  # what its layers showed after the build


@dataclass(frozen=True)
class Looked:
    """What the cache gave: an engine, or why there is none. `usual_s`: how long a build of the same graph took."""

    kept: Kept | None
    why: str = ""
    usual_s: float | None = None

    def without(self, why: str) -> Looked:
        """The engine that was found is no good after all."""
        return Looked(None, why, None if self.kept is None else self.kept.build_s)


class EngineCache:
    """A folder of engines. Many processes may use it at once."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder("engines")

    def look_up(self, key: Key) -> Looked:
        path = self._path(key)
        try:
            found, kept = _read(path)
        except FileNotFoundError:
            return self._of_the_same_graph(key)
        except (OSError, ValueError) as error:
            return Looked(None, f"the one that was kept is damaged ({error})")
        if found != key:
            return Looked(None, "the one that was kept is of something else")
        with suppress(OSError):
            os.utime(path)
        return Looked(kept)

    def _of_the_same_graph(self, key: Key) -> Looked:
        """Why an engine that was built before is not the one to use, and how long it took."""
        closest: tuple[int, str, float] | None = None
        for path in self.folder.glob(f"{key.onnx[:16]}-*.engine"):
            with suppress(OSError, ValueError):
                other, seconds = _read_key(path)
                difference = key.difference(other)
                if other.onnx == key.onnx and (closest is None or difference.count(",") < closest[0]):
                    closest = difference.count(","), difference, seconds
        if closest is None:
            return Looked(None, "it was never built here")
        return Looked(None, closest[1], closest[2])

    def keep(self, key: Key, engine: bytes, build_s: float, shown: str) -> None:
        """All or nothing, so that a reader never sees half an engine. A full disk costs the next start a build."""
        head = {
            "key": asdict(key),
            "sha256": hashlib.sha256(engine).hexdigest(),
            "bytes": len(engine),
            "build_s": round(build_s, 3),
            "shown": shown,
        }
        self._write(self._path(key), _MAGIC + json.dumps(head).encode() + b"\n" + engine)
        self._drop_old(key)

    def timings(self, key: Key) -> bytes:
        """What timing kernels on this device with this version has taught; empty where there is nothing good."""
        try:
            content = self._timing_path(key).read_bytes()
        except OSError:
            return b""
        digest, _, timings = content.partition(b"\n")
        return timings if hashlib.sha256(timings).hexdigest().encode() == digest else b""

    def keep_timings(self, key: Key, timings: bytes) -> None:
        if timings:
            self._write(self._timing_path(key), hashlib.sha256(timings).hexdigest().encode() + b"\n" + timings)

    @contextmanager
    def building(self, stopped: threading.Event) -> Iterator[None]:
        """One build at a time on this machine: a second would spoil the timing of the first one's kernels."""
        with ExitStack() as stack:
            try:
                make_folder(self.folder)
                stack.enter_context(BuildLock(self.folder / "building.lock", stopped))
            except OSError as error:
                log.warning("%s: engines cannot be kept, every start will build them again", error)
            else:
                for left_over in self.folder.glob(f"{PARTIAL}*"):  # by a writer that was killed: we hold the lock
                    left_over.unlink(missing_ok=True)
            yield

    def _path(self, key: Key) -> Path:
        return self.folder / f"{key.stem}.engine"

    def _timing_path(self, key: Key) -> Path:
        same = (key.library, key.version, key.capability, key.device, key.driver)
        return self.folder / f"timings-{hashlib.sha256(json.dumps(same).encode()).hexdigest()[:16]}.bin"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            atomic_write(path, content)
        except OSError as error:
            log.warning("%s: the engine cannot be kept, the next start will build it again", error)

    def _drop_old(self, key: Key) -> None:
        """Engines that no start on this machine can use any more."""
        for path in self.folder.glob(f"{key.onnx[:16]}-*.engine"):
            with suppress(OSError, ValueError):
                other, _ = _read_key(path)
                changed = {name for name, value in asdict(key).items() if value != asdict(other)[name]}
                if changed and changed <= _DEAD_WHEN_CHANGED:
                    path.unlink()


def _read_head(file: BinaryIO) -> dict[str, Any]:
    """The head, with the file left at the engine's first byte."""
    status = os.fstat(file.fileno())
    if status.st_uid not in {0, os.getuid()} or status.st_mode & _OTHERS_MAY_WRITE:
        raise ValueError("somebody else may have written it")
    magic, line = file.readline(_MOST_HEAD_BYTES), file.readline(_MOST_HEAD_BYTES)
    if magic != _MAGIC or not line.endswith(b"\n"):
        raise ValueError("it does not begin as an engine of this version")
    try:
        head = json.loads(line)
        return {**head, "key": Key(**head["key"]), "build_s": float(head["build_s"]), "shown": str(head["shown"])}
    except (TypeError, KeyError) as error:
        raise ValueError(f"its head cannot be read: {error}") from None


def _read_key(path: Path) -> tuple[Key, float]:
    with path.open("rb") as file:
        head = _read_head(file)
    return head["key"], head["build_s"]


def _read(path: Path) -> tuple[Key, Kept]:
    with path.open("rb") as file:
        head = _read_head(file)
        engine = file.read()
    if len(engine) != head.get("bytes"):
        raise ValueError(f"it has {len(engine)} bytes instead of {head.get('bytes')}")
    if hashlib.sha256(engine).hexdigest() != head.get("sha256"):
        raise ValueError("its digest differs")
    return head["key"], Kept(engine, head["build_s"], head["shown"])
