"""The cache of engines that this machine built: named by everything they depend on, verified before they are loaded.

An engine is code that runs with the rights of this process. Only a file with the digest that was computed when it was
built is loaded; anything else is built again, and the reason is reported.
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
from mm_edge.cache_limit import drop_least_recently_used
from mm_edge.places import cache_folder

from .build_lock import BuildLock

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)
_MAGIC = b"mm-edge engine 2\n"
_MOST_HEAD_BYTES = 1 << 16
_OTHERS_MAY_WRITE = 0o022
MOST_BYTES = 16 << 30  # of all engines together; those of one model must fit, or each start would build them again
# An engine that differs only in these is useless: a machine has one driver at a time.
_DEAD_WHEN_CHANGED = {"driver"}


@dataclass(frozen=True)
class Key:
    """Everything an engine depends on."""

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
        """Starts with the graph's digest, so that engines of one graph sort together."""
        return f"{self.onnx[:16]}-{self.digest[:16]}"

    def difference(self, other: Key) -> str:
        """What changed from `other` to this, as text."""
        mine, theirs = asdict(self), asdict(other)
        changed = [name for name in mine if mine[name] != theirs[name]]
        return ", ".join(
            "other build options" if name == "options" else f"{name} changed from {theirs[name]} to {mine[name]}"
            for name in changed
        )


@dataclass(frozen=True)
class Kept:
    """An engine from disk, and how long its build took."""

    engine: bytes
    build_s: float
    layers: str  # the layer types that were found after the build


@dataclass(frozen=True)
class Lookup:
    """The result of a look-up: an engine, or why there is none. `usual_s`: how long a build of the same graph took."""

    kept: Kept | None
    why: str = ""
    usual_s: float | None = None

    def without(self, why: str) -> Lookup:
        """The engine that was found cannot be used."""
        return Lookup(None, why, None if self.kept is None else self.kept.build_s)


class EngineCache:
    """A folder of engines. Several processes may use it at the same time."""

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder or cache_folder("engines")
        self.most_bytes = most_bytes

    def look_up(self, key: Key) -> Lookup:
        path = self._path(key)
        try:
            found, kept = _read(path)
        except FileNotFoundError:
            return self._of_the_same_graph(key)
        except (OSError, ValueError) as error:
            return Lookup(None, f"the cached engine is damaged ({error})")
        if found != key:
            return Lookup(None, "the cached engine has another key")
        with suppress(OSError):
            os.utime(path)
        return Lookup(kept)

    def _of_the_same_graph(self, key: Key) -> Lookup:
        """Why an engine of the same graph cannot be used, and how long its build took."""
        closest: tuple[int, str, float] | None = None
        for path in self.folder.glob(f"{key.onnx[:16]}-*.engine"):
            with suppress(OSError, ValueError):
                other, seconds = _read_key(path)
                difference = key.difference(other)
                if other.onnx == key.onnx and (closest is None or difference.count(",") < closest[0]):
                    closest = difference.count(","), difference, seconds
        if closest is None:
            return Lookup(None, "it was not built here before")
        return Lookup(None, closest[1], closest[2])

    def keep(self, key: Key, engine: bytes, build_s: float, layers: str) -> None:
        """Atomic, so that a reader never sees half an engine. If the disk is full, the next start builds again."""
        head = {
            "key": asdict(key),
            "sha256": hashlib.sha256(engine).hexdigest(),
            "bytes": len(engine),
            "build_s": round(build_s, 3),
            "layers": layers,
        }
        self._write(self._path(key), _MAGIC + json.dumps(head).encode() + b"\n" + engine)
        self._drop_old(key)
        for path in drop_least_recently_used(self.folder.glob("*.engine"), self.most_bytes):
            log.info("%s: removed, because it was not used for the longest time and the cache is full", path)

    def timings(self, key: Key) -> bytes:
        """The timing cache of this device and version; empty if there is none, or a damaged one."""
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
        """One build at a time on this machine: a second one would distort the timing of kernels."""
        with ExitStack() as stack:
            try:
                make_folder(self.folder)
                stack.enter_context(BuildLock(self.folder / "building.lock", stopped))
            except OSError as error:
                log.warning("%s: engines cannot be cached, every start will build them again", error)
            else:
                for left_over in self.folder.glob(f"{PARTIAL}*"):  # from a killed writer: the lock is held
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
            log.warning("%s: the engine cannot be cached, the next start will build it again", error)

    def _drop_old(self, key: Key) -> None:
        """Removes engines that this machine cannot use any more."""
        for path in self.folder.glob(f"{key.onnx[:16]}-*.engine"):
            with suppress(OSError, ValueError):
                other, _ = _read_key(path)
                changed = {name for name, value in asdict(key).items() if value != asdict(other)[name]}
                if changed and changed <= _DEAD_WHEN_CHANGED:
                    path.unlink()


def _read_head(file: BinaryIO) -> dict[str, Any]:
    """The head. The file is left at the first byte of the engine."""
    status = os.fstat(file.fileno())
    if status.st_uid not in {0, os.getuid()} or status.st_mode & _OTHERS_MAY_WRITE:
        raise ValueError("other users may write it")
    magic, line = file.readline(_MOST_HEAD_BYTES), file.readline(_MOST_HEAD_BYTES)
    if magic != _MAGIC or not line.endswith(b"\n"):
        raise ValueError("it does not start with the header of this version")
    try:
        head = json.loads(line)
        return {**head, "key": Key(**head["key"]), "build_s": float(head["build_s"]), "layers": str(head["layers"])}
    except (TypeError, KeyError) as error:
        raise ValueError(f"its header cannot be read: {error}") from None


def _read_key(path: Path) -> tuple[Key, float]:
    with path.open("rb") as file:
        head = _read_head(file)
    return head["key"], head["build_s"]


def _read(path: Path) -> tuple[Key, Kept]:
    with path.open("rb") as file:
        head = _read_head(file)
        engine = file.read()
    if len(engine) != head.get("bytes"):
        raise ValueError(f"it has {len(engine)} bytes, expected {head.get('bytes')}")
    if hashlib.sha256(engine).hexdigest() != head.get("sha256"):
        raise ValueError("its digest does not match")
    return head["key"], Kept(engine, head["build_s"], head["layers"])
