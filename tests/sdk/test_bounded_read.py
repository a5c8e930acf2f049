"""Files that never end are refused, not read until the memory is full."""

from pathlib import Path

import pytest
from small_bundle import FILES, make_manifest

from mm_edge.bounded_read import read_bounded
from mm_edge.bundle.signing import generate_keys, sign
from mm_edge.bundle.writer import write_bundle
from mm_edge.config import RunConfig, load_config
from mm_edge.errors import InputError, UsageError
from mm_edge.runtime.sources import request

ENDLESS = Path("/dev/zero")


def test_a_file_at_the_limit_is_read_and_a_longer_one_is_not(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bounded(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="too large"):
        read_bounded(tmp_path / "file", 4)


def test_a_configuration_without_end():
    with pytest.raises(UsageError, match="reading /dev/zero: File too large"):
        load_config(RunConfig, ENDLESS)


def test_keys_without_end(tmp_path, command):
    write_bundle(tmp_path / "signed", make_manifest(), FILES, generate_keys(tmp_path)[0])
    outcome = command("verify", tmp_path / "signed", "--key", ENDLESS)
    assert outcome.code == 2
    assert "/dev/zero: not a readable public key" in outcome.err
    with pytest.raises(UsageError, match="/dev/zero: not a readable private key"):
        sign(b"{}", ENDLESS)


def test_lines_without_end(monkeypatch):
    monkeypatch.setattr(request, "MOST_LINES_BYTES", 1 << 10)
    with pytest.raises(InputError, match="reading /dev/zero: File too large"):
        request.read_lines(ENDLESS)
