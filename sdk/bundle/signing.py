"""Ed25519 signatures over a manifest's bytes, and their keys."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Literal

import msgspec

from mm_edge.bounded_read import read_bounded
from mm_edge.errors import BundleError, UsageError
from mm_edge.spec import Strict

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_NAME, PUBLIC_NAME = "mm-edge.key", "mm-edge.pub"
MOST_KEY_BYTES = 64 << 10


class Signature(Strict, frozen=True):
    """The contents of signature.json. `key` identifies the public key: the first digits of its SHA-256."""

    format: Literal[1]
    algorithm: Literal["ed25519"]
    key: str
    signature: str


def generate_keys(folder: Path) -> tuple[Path, Path]:
    """Writes a key pair into `folder`; never overwrites an existing one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private_path, public_path = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    for path in (private_path, public_path):
        if path.exists() or path.is_symlink():
            raise UsageError(
                f"{path} already exists",
                action="creating a key pair",
                hint="Use another folder, or move that key first",
            )
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The private key is never readable by others, not even between creation and chmod.
        with os.fdopen(os.open(private_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
        public_path.write_bytes(public)
    except OSError as error:
        raise UsageError(
            f"{error.strerror}", action=f"creating a key pair in {folder}", hint="Give a folder that can be written"
        ) from None
    return private_path, public_path


def key_id(public_raw: bytes) -> str:
    return hashlib.sha256(public_raw).hexdigest()[:16]


def sign(manifest: bytes, private_key: Path) -> bytes:
    """The bytes of signature.json."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    action = f"signing with {private_key}"
    try:
        key = load_pem_private_key(read_bounded(private_key, MOST_KEY_BYTES), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"not a readable private key: {error}", action=action, hint="Create one: mm-edge keygen DIR"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("not an Ed25519 key", action=action, hint="Create one: mm-edge keygen DIR")
    record = Signature(
        format=1,
        algorithm="ed25519",
        key=key_id(key.public_key().public_bytes_raw()),
        signature=base64.b64encode(key.sign(manifest)).decode(),
    )
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def read_signature(raw: bytes) -> Signature:
    try:
        return msgspec.json.decode(raw, type=Signature)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"not a valid signature: {error}", action="reading the bundle's signature.json") from None


def check_signature(manifest: bytes, signature: Signature, public_key: Path) -> None:
    """Raises a BundleError unless `signature` is a signature of these bytes by `public_key`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    action = f"verifying the bundle's signature with {public_key}"
    try:
        key = load_pem_public_key(read_bounded(public_key, MOST_KEY_BYTES))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"not a readable public key: {error}", action=action, hint="Use the .pub file of the key pair"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("not an Ed25519 key", action=action, hint="Use the .pub file of the key pair")
    own_id = key_id(key.public_bytes_raw())
    if signature.key != own_id:
        raise BundleError(
            f"the bundle was signed by the key {signature.key}, not by {own_id}",
            action=action,
            hint="Get the bundle from its publisher, or use the publisher's public key",
        )
    try:
        key.verify(base64.b64decode(signature.signature, validate=True), manifest)
    except (InvalidSignature, ValueError):
        raise BundleError(
            "the signature does not match the manifest: one of them was modified",
            action=action,
            hint="Get the bundle again from its publisher",
        ) from None
