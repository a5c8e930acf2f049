"""A bundle: one verified artifact. Only verified bytes are loaded."""

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
from .tokenizer_check import check_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

MANIFEST_FILE, SIGNATURE_FILE = "manifest.json", "signature.json"
MAX_SIGNATURE_BYTES = 4096
KEPT_FILE_BYTES = 64 << 20  # a larger file is read and verified again on each access


class Trust(Strict, frozen=True):
    """The requirements for opening a bundle. With several keys, a signature by any of them is sufficient."""

    keys: tuple[str, ...] = ()
    minimum_version: int = 0


class Bundle:
    """An open bundle with all files verified; `read` returns only verified bytes."""

    def __init__(
        self,
        path: Path,
        container: Container,
        manifest: Manifest,
        signature: Signature | None,
        *,
        trusted: bool,
        digest: str,
    ) -> None:
        self.path, self.manifest, self.signature, self.trusted = path, manifest, signature, trusted
        self.digest = digest  # of the manifest, which has those of all files
        self._container = container
        self._kept: dict[str, bytes] = {}

    @classmethod
    def open(cls, path: str | Path, trust: Trust = Trust()) -> Bundle:  # noqa: B008  # frozen
        """Opens and verifies the complete bundle, or raises a BundleError and leaves nothing open."""
        path = Path(path)
        container = open_container(path)
        try:
            raw = _read_bounded(container, MANIFEST_FILE, MAX_MANIFEST_BYTES, path)
            signature = None
            if SIGNATURE_FILE in container.sizes:
                signature = read_signature(_read_bounded(container, SIGNATURE_FILE, MAX_SIGNATURE_BYTES, path))
            # The signature is verified before the manifest is parsed.
            if trust.keys:
                _check_trust(raw, signature, [Path(key) for key in trust.keys], path)
            manifest = decode_manifest(raw)
            _check_version(manifest, trust.minimum_version, path)
            _check_listing(container, manifest, path)
            bundle = cls(
                path,
                container,
                manifest,
                signature,
                trusted=bool(trust.keys),
                digest=hashlib.sha256(raw).hexdigest(),
            )
            graphs = {item.file: part for part in manifest.parts for item in part.artefacts.values()}
            tokenizers = manifest.tokenizers
            for name, recorded in manifest.digests.items():
                content = bundle._read_verified(name)  # same class
                if name in graphs:
                    check_graph(manifest, graphs[name], name, content)
                if name in tokenizers:
                    check_tokenizer(name, content)
                if recorded.size <= KEPT_FILE_BYTES:
                    bundle._kept[name] = content  # same class
        except BaseException:
            container.close()
            raise
        return bundle

    def read(self, name: str) -> bytes:
        """The verified bytes of one file: kept from opening, or read and verified again."""
        kept = self._kept.get(name)
        return self._read_verified(name) if kept is None else kept

    def release(self) -> None:
        """Frees the kept bytes; after loading, few of them are needed again."""
        self._kept.clear()

    def _read_verified(self, name: str) -> bytes:
        content = self._container.read(name)
        if hashlib.sha256(content).hexdigest() != self.manifest.digests[name].sha256:
            raise BundleError(
                f"'{name}' does not match its digest in the manifest",
                action=f"reading the bundle {self.path}",
                hint="Download the bundle again; it is damaged or was modified",
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
            f"the bundle has no {name}", action=action, hint="Use a bundle created by: mm-edge export SOURCE -o BUNDLE"
        )
    if container.sizes[name] > limit:
        raise BundleError(f"{name} has {container.sizes[name]} bytes, the limit is {limit}", action=action)
    return container.read(name)


def _check_trust(raw: bytes, signature: Signature | None, keys: Sequence[Path], path: Path) -> None:
    if signature is None:
        raise BundleError(
            "the bundle is not signed, but a signature is required",
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
            f"'{manifest.name}' has version {manifest.version}, at least {minimum} is required",
            action=f"opening the bundle {path}",
            hint="It may have been rolled back; get the newer version",
        )


def _check_listing(container: Container, manifest: Manifest, path: Path) -> None:
    """Checks that the container has exactly the files and sizes in the manifest."""
    action = f"opening the bundle {path}"
    present = {name: size for name, size in container.sizes.items() if name not in {MANIFEST_FILE, SIGNATURE_FILE}}
    if missing := sorted(set(manifest.digests) - set(present)):
        raise BundleError(
            f"missing: {', '.join(missing[:5])}", action=action, hint="Download the bundle again; it is incomplete"
        )
    if extra := sorted(set(present) - set(manifest.digests)):
        raise BundleError(
            f"files not listed in the manifest: {', '.join(extra[:5])}",
            action=action,
            hint="Remove them, or export the bundle again",
        )
    for name, size in present.items():
        if size != manifest.digests[name].size:
            raise BundleError(
                f"'{name}' has {size} bytes, expected {manifest.digests[name].size}",
                action=action,
                hint="Download the bundle again; it is damaged or was modified",
            )
