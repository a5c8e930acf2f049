"""What is loaded is the very bytes that were verified."""

import pytest
from small_bundle import FILES, make_manifest

from mm_edge.bundle.bundle import Bundle, Trust
from mm_edge.bundle.manifest import decode_manifest, encode_manifest
from mm_edge.bundle.signing import generate_keys, sign
from mm_edge.bundle.writer import write_bundle
from mm_edge.errors import BundleError, UsageError

A_FILE = "parts/fuse/fp32.onnx"


def test_everything_comes_back(bundle_path, manifest):
    with Bundle.open(bundle_path) as bundle:
        assert bundle.manifest == manifest
        assert {name: bundle.read(name) for name in FILES} == FILES
        assert bundle.size == sum(map(len, FILES.values())) + len(encode_manifest(manifest))
        assert (bundle.signature, bundle.trusted) == (None, False)


@pytest.mark.parametrize("content", [b"!" + FILES[A_FILE][1:], FILES[A_FILE] + b"!", b"", FILES[A_FILE][:-1]])
def test_file_that_changes_after_the_check_is_never_handed_out(tmp_path, manifest, content):
    write_bundle(tmp_path / "b", manifest, FILES)
    with Bundle.open(tmp_path / "b") as bundle:
        (tmp_path / "b" / A_FILE).write_bytes(content)
        assert bundle.read(A_FILE) == FILES[A_FILE]  # the bytes that were verified were kept
        bundle.release()
        with pytest.raises(BundleError, match=A_FILE):
            bundle.read(A_FILE)
        assert bundle.read("tokenizer.json") == FILES["tokenizer.json"]


def test_file_that_becomes_a_link_after_the_check_is_not_followed(tmp_path, manifest):
    write_bundle(tmp_path / "b", manifest, FILES)
    with Bundle.open(tmp_path / "b") as bundle:
        (tmp_path / "same").write_bytes(FILES[A_FILE])
        (tmp_path / "b" / A_FILE).unlink()
        (tmp_path / "b" / A_FILE).symlink_to(tmp_path / "same")
        bundle.release()
        with pytest.raises(BundleError, match="cannot be read"):
            bundle.read(A_FILE)


def test_archive_that_is_replaced_while_open_gives_what_was_verified(tmp_path, manifest):
    path = tmp_path / "b.mmb"
    write_bundle(path, manifest, FILES)
    with Bundle.open(path) as bundle:
        other = {**FILES, "tokenizer.json": b"[]"}
        write_bundle(path, make_manifest(other), other)
        assert bundle.read("tokenizer.json") == FILES["tokenizer.json"]


def test_file_that_the_manifest_does_not_name_is_not_there(bundle_path):
    with Bundle.open(bundle_path) as bundle, pytest.raises(KeyError):
        bundle.read("nonsense")


def test_manifest_survives_its_own_encoding(manifest):
    assert decode_manifest(encode_manifest(manifest)) == manifest
    assert encode_manifest(decode_manifest(encode_manifest(manifest))) == encode_manifest(manifest)


def test_one_of_several_keys_is_enough(tmp_path, manifest):
    (private, public), (_, other) = generate_keys(tmp_path / "a"), generate_keys(tmp_path / "b")
    write_bundle(tmp_path / "bundle", manifest, FILES, private)
    with Bundle.open(tmp_path / "bundle", Trust(keys=(str(other), str(public)))) as bundle:
        assert bundle.trusted
    with pytest.raises(BundleError, match="signed by the key"):
        Bundle.open(tmp_path / "bundle", Trust(keys=(str(other),)))


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_an_unreadable_key_is_reported(tmp_path, manifest, content):
    private, _ = generate_keys(tmp_path / "keys")
    write_bundle(tmp_path / "bundle", manifest, FILES, private)
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(UsageError, match="not a readable public key"):
        Bundle.open(tmp_path / "bundle", Trust(keys=(str(tmp_path / "bad"),)))
    with pytest.raises(UsageError, match="not a readable private key"):
        sign(b"", tmp_path / "bad")


def test_a_key_of_another_type_is_reported(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "ec.key").write_bytes(key.private_bytes(*plain))
    with pytest.raises(UsageError, match="not an Ed25519 key"):
        sign(b"", tmp_path / "ec.key")
