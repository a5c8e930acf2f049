"""A bundle: one verified artifact. What is loaded is the very bytes that were verified."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from mm_edge.errors import BundleError
from mm_edge.spec import Strict

from .container import Container, open_container
from .graph_check import check_graph
from .manifest import MAX_MANIFEST_BYTES, FileDigest, Manifest, decode_manifest
from .signing import Signature, check_signature, read_signature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

MANIFEST_FILE, SIGNATURE_FILE = "manifest.json", "signature.json"
MAX_SIGNATURE_BYTES = 4096
KEPT_FILE_BYTES = 64 << 20  # a larger file is read and verified again when it is asked for


class Trust(Strict, frozen=True):
    """What a bundle must show before it is opened. With several keys one of them must have signed."""

    keys: tuple[str, ...] = ()
    minimum_version: int = 0


class Bundle:
    """An open bundle whose every file has been checked once; `read` checks again what it hands out."""

    def __init__(
        self, path: Path, container: Container, manifest: Manifest, signature: Signature | None, *, trusted: bool
    ) -> None:
        self.path, self.manifest, self.signature, self.trusted = path, manifest, signature, trusted
        self._container = container
        self._kept: dict[str, bytes] = {}

    @classmethod
    def open(cls, path: str | Path, trust: Trust = Trust()) -> Bundle:  # noqa: B008  # frozen
        """Opens and verifies the whole bundle, or raises one BundleError and leaves nothing open."""
        path = Path(path)
        container = open_container(path)
        try:
            raw = _read_bounded(container, MANIFEST_FILE, MAX_MANIFEST_BYTES, path)
            signature = None
            if SIGNATURE_FILE in container.sizes:
                signature = read_signature(_read_bounded(container, SIGNATURE_FILE, MAX_SIGNATURE_BYTES, path))
            # The signature is checked before anything in the manifest is believed.
            if trust.keys:
                _check_trust(raw, signature, [Path(key) for key in trust.keys], path)
            manifest = decode_manifest(raw)
            _check_version(manifest, trust.minimum_version, path)
            _check_listing(container, manifest, path)
            bundle = cls(path, container, manifest, signature, trusted=bool(trust.keys))
            graphs = {item.file: part for part in manifest.parts for item in part.artefacts.values()}
            for name, recorded in manifest.digests.items():
                content = bundle._read_verified(name)  # its own
                if name in graphs:
                    check_graph(manifest, graphs[name], name, content)
                if recorded.size <= KEPT_FILE_BYTES:
                    bundle._kept[name] = content  # its own
        except BaseException:
            container.close()
            raise
        return bundle

    def read(self, name: str) -> bytes:
        """The bytes of one file, verified: those that were kept when it was opened, or read and verified again."""
        kept = self._kept.get(name)
        return self._read_verified(name) if kept is None else kept

    def release(self) -> None:
        """Lets go of the bytes that were kept; whoever has loaded the bundle needs few of them again."""
        self._kept.clear()

    def _read_verified(self, name: str) -> bytes:
        content = self._container.read(name)
        if hashlib.sha256(content).hexdigest() != self.manifest.digests[name].sha256:
            raise BundleError(
                f"'{name}' is not what the manifest says: its digest differs",
                action=f"reading the bundle {self.path}",
                hint="Get the bundle again; it is damaged or was changed",
            )
        return content

    @property
    def size(self) -> int:
        return sum(self._container.sizes.values())

    def close(self) -> None:
        self.release()
        self._container.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def digest(content: bytes) -> FileDigest:
    return FileDigest(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def _read_bounded(container: Container, name: str, limit: int, path: Path) -> bytes:
    action = f"opening the bundle {path}"
    if name not in container.sizes:
        raise BundleError(
            f"it has no {name}", action=action, hint="Give a bundle made by: mm-edge export SOURCE -o BUNDLE"
        )
    if container.sizes[name] > limit:
        raise BundleError(f"its {name} has {container.sizes[name]} bytes; at most {limit} are read", action=action)
    return container.read(name)


def _check_trust(raw: bytes, signature: Signature | None, keys: Sequence[Path], path: Path) -> None:
    if signature is None:
        raise BundleError(
            "it is not signed, and a signature is asked for",
            action=f"opening the bundle {path}",
            hint="Sign it: mm-edge export … --sign KEY",
        )
    refusal: BundleError | None = None
    for key in keys:
        try:
            check_signature(raw, signature, key)
        except BundleError as error:
            refusal = error
        else:
            return
    if refusal:
        raise refusal


def _check_version(manifest: Manifest, minimum: int, path: Path) -> None:
    if manifest.version < minimum:
        raise BundleError(
            f"'{manifest.name}' has version {manifest.version}, at least {minimum} is asked for",
            action=f"opening the bundle {path}",
            hint="It may have been rolled back; get the newer one",
        )


def _check_listing(container: Container, manifest: Manifest, path: Path) -> None:
    """The container holds what the manifest names, in the sizes it names, and nothing else."""
    action = f"opening the bundle {path}"
    there = {name: size for name, size in container.sizes.items() if name not in {MANIFEST_FILE, SIGNATURE_FILE}}
    if missing := sorted(set(manifest.digests) - set(there)):
        raise BundleError(
            f"missing: {', '.join(missing[:5])}", action=action, hint="Get the bundle again; it is not whole"
        )
    if extra := sorted(set(there) - set(manifest.digests)):
        raise BundleError(
            f"files that the manifest does not name: {', '.join(extra[:5])}",
            action=action,
            hint="Remove them, or export the bundle again",
        )
    for name, size in there.items():
        if size != manifest.digests[name].size:
            raise BundleError(
                f"'{name}' has {size} bytes, the manifest says {manifest.digests[name].size}",
                action=action,
                hint="Get the bundle again; it is damaged or was changed",
            )
