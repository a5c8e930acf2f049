"""Invalid signatures and rolled back versions."""

import json

import pytest
from small_bundle import FILES, make_manifest

from mm_edge.bundle.bundle import SIGNATURE_FILE
from mm_edge.bundle.signing import generate_keys
from mm_edge.bundle.writer import write_bundle


@pytest.fixture
def keys(tmp_path):
    return {name: generate_keys(tmp_path / name) for name in ("maker", "stranger")}


@pytest.fixture
def signed(tmp_path, keys):
    path = tmp_path / "signed"
    write_bundle(path, make_manifest(), FILES, keys["maker"][0])
    return path


def test_signature_of_the_maker_is_taken(signed, keys, command):
    outcome = command("verify", signed, "--key", keys["stranger"][1], "--key", keys["maker"][1])
    assert (outcome.code, outcome.err) == (0, "")
    assert ", verified" in outcome.out


def test_signature_of_another_key(signed, keys, refused_and_clean):
    assert "signed by the key" in refused_and_clean(signed, "--key", keys["stranger"][1])


def test_signature_of_another_key_that_claims_to_be_the_maker(signed, keys, tmp_path, refused_and_clean):
    forged = tmp_path / "forged"
    write_bundle(forged, make_manifest(), FILES, keys["stranger"][0])
    record = json.loads((forged / SIGNATURE_FILE).read_bytes())
    record["key"] = json.loads((signed / SIGNATURE_FILE).read_bytes())["key"]
    (forged / SIGNATURE_FILE).write_text(json.dumps(record))
    assert "does not match the manifest" in refused_and_clean(forged, "--key", keys["maker"][1])


def test_signature_over_another_manifest(signed, keys, tmp_path, refused_and_clean):
    other = tmp_path / "other"
    write_bundle(other, make_manifest(description="changed later"), FILES, keys["maker"][0])
    (other / SIGNATURE_FILE).write_bytes((signed / SIGNATURE_FILE).read_bytes())
    assert "does not match the manifest" in refused_and_clean(other, "--key", keys["maker"][1])


def test_unsigned_where_a_signature_is_asked_for(bundle_path, keys, refused_and_clean):
    assert "not signed" in refused_and_clean(bundle_path, "--key", keys["maker"][1])


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{}", b"[" * 100_000, b'{"format":1,"algorithm":"none","key":"","signature":""}', b" " * 5000],
    ids=["empty", "not UTF-8", "no fields", "nested", "another algorithm", "too long"],
)
def test_signature_that_is_none(signed, refused_and_clean, content):
    (signed / SIGNATURE_FILE).write_bytes(content)
    assert "signature" in refused_and_clean(signed)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64 at all", "A" * 88, "Ä"])
def test_signature_of_no_meaning(signed, keys, refused_and_clean, text):
    record = json.loads((signed / SIGNATURE_FILE).read_bytes())
    (signed / SIGNATURE_FILE).write_text(json.dumps({**record, "signature": text}))
    assert "does not match the manifest" in refused_and_clean(signed, "--key", keys["maker"][1])


def test_rolled_back_version(signed, keys, refused_and_clean):
    assert "rolled back" in refused_and_clean(signed, "--key", keys["maker"][1], "--minimum-version", "4")


def test_version_at_the_minimum_is_taken(signed, command):
    assert command("verify", signed, "--minimum-version", "3").code == 0
