"""A corpus of broken folders and archives: every one is refused with exit 2 and one message, and nothing is left."""

import os
import socket
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from broken_bundle import A_FILE, BrokenBundle
from small_bundle import FILES

from mm_edge.bundle.bundle import MANIFEST_FILE
from mm_edge.bundle.container import MAX_FILES


def truncated_file(bundle, path):
    bundle.members[A_FILE] = bundle.members[A_FILE][:-1]
    return bundle.as_folder(path)


def file_of_another_content(bundle, path):
    bundle.members[A_FILE] = bundle.members[A_FILE][:-1] + b"!"
    return bundle.as_folder(path)


def file_too_many(bundle, path):
    bundle.members["parts/extra.onnx"] = b"!"
    return bundle.as_folder(path)


def hidden_file_too_many(bundle, path):
    bundle.members[".DS_Store"] = b"!"
    return bundle.as_folder(path)


def file_missing(bundle, path):
    del bundle.members[A_FILE]
    return bundle.as_folder(path)


def manifest_missing(bundle, path):
    del bundle.members[MANIFEST_FILE]
    return bundle.as_folder(path)


def manifest_is_a_folder(bundle, path):
    bundle.members[f"{MANIFEST_FILE}/x"] = bundle.members.pop(MANIFEST_FILE)
    return bundle.as_folder(path)


def empty_folder(bundle, path):
    path.mkdir()
    return path


def link_that_leaves(bundle, path):
    outside = path.with_name("outside")
    outside.write_bytes(bundle.members.pop(A_FILE))
    bundle.as_folder(path)
    (path / A_FILE).parent.mkdir(exist_ok=True)
    (path / A_FILE).symlink_to(outside)
    return path


def link_that_stays(bundle, path):
    bundle.as_folder(path)
    (path / A_FILE).rename(path / "parts/real")
    (path / A_FILE).symlink_to(path / "parts/real")
    return path


def folder_that_is_a_link(bundle, path):
    bundle.as_folder(path)
    (path / "parts").rename(path.with_name("outside"))
    (path / "parts").symlink_to(path.with_name("outside"))
    return path


def link_to_nothing(bundle, path):
    bundle.as_folder(path)
    (path / "nothing").symlink_to(path / "not there")
    return path


def link_to_itself(bundle, path):
    path.symlink_to(path)
    return path


def pipe_inside(bundle, path):
    bundle.as_folder(path)
    os.mkfifo(path / "pipe")
    return path


def socket_inside(bundle, path):
    bundle.as_folder(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path / "s"))
    return path


def pipe_instead(bundle, path):
    os.mkfifo(path)
    return path


def device_instead(bundle, path):
    return Path("/dev/zero")


def nothing_there(bundle, path):
    return path


def name_that_is_not_utf8(bundle, path):
    bundle.as_folder(path)
    Path(os.fsdecode(os.fsencode(path) + b"/\xff\xfe")).write_bytes(b"!")
    return path


def deeper_than_any_bundle(bundle, path):
    bundle.members["/".join("d" * 20)] = b"!"
    return bundle.as_folder(path)


def more_files_than_any_bundle(bundle, path):
    for number in range(MAX_FILES):
        bundle.members[f"f{number}"] = b""
    return bundle.as_zip(path)


def sparse_file_of_a_terabyte(bundle, path):
    bundle.as_folder(path)
    os.truncate(path / A_FILE, 1 << 40)
    return path


FOLDERS = {
    truncated_file: "bytes",
    file_of_another_content: "does not match its digest",
    file_too_many: "parts/extra.onnx",
    hidden_file_too_many: ".DS_Store",
    file_missing: A_FILE,
    manifest_missing: "no manifest.json",
    manifest_is_a_folder: "no manifest.json",
    empty_folder: "no manifest.json",
    link_that_leaves: "symbolic link",
    link_that_stays: "symbolic link",
    folder_that_is_a_link: "symbolic link",
    link_to_nothing: "symbolic link",
    link_to_itself: "symbolic links",
    pipe_inside: "not a regular file",
    socket_inside: "not a regular file",
    pipe_instead: "neither a file nor a folder",
    device_instead: "neither a file nor a folder",
    nothing_there: "No such file",
    name_that_is_not_utf8: "invalid file name",
    deeper_than_any_bundle: "deeper",
    more_files_than_any_bundle: "more than",
    sparse_file_of_a_terabyte: "declares",
}


def zip_cut_off(bundle, path):
    bundle.as_zip(path)
    os.truncate(path, path.stat().st_size // 2)
    return path


def zip_cut_by_one_byte(bundle, path):
    bundle.as_zip(path)
    os.truncate(path, path.stat().st_size - 1)
    return path


def zip_of_nothing(bundle, path):
    path.touch()
    return path


def zip_that_is_text(bundle, path):
    path.write_text("I am a bundle, believe me.\n" * 50)
    return path


def zip_with_one_byte_changed(bundle, path):
    bundle.as_zip(path)
    raw = bytearray(path.read_bytes())
    raw[raw.index(FILES[A_FILE])] ^= 1
    path.write_bytes(raw)
    return path


def zip_bomb(bundle, path):
    bundle.members["bomb"] = b"\0" * (64 << 20)
    return bundle.as_zip(path, zipfile.ZIP_DEFLATED)


def zip_bomb_of_bzip2(bundle, path):
    bundle.members["bomb"] = b"\0" * (8 << 20)
    return bundle.as_zip(path, zipfile.ZIP_BZIP2)


def _patched(path, name, offset, value):
    """Writes `value` into the directory's entry of `name`, `offset` bytes into it."""
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(name.encode()) - 46
    raw[entry + offset : entry + offset + len(value)] = value
    path.write_bytes(raw)
    return path


def zip_that_overlaps(bundle, path):
    """Many entries over one stored member: the archive is small, its sum is not."""
    bundle.members["big"] = b"\0" * (1 << 20)
    with zipfile.ZipFile(bundle.as_zip(path), "a") as archive:
        big = archive.getinfo("big")
        for number in range(2000):
            info = zipfile.ZipInfo(f"copy{number}")
            info.file_size = info.compress_size = big.file_size
            info.header_offset, info.CRC = big.header_offset, big.CRC
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
        archive._didModify = True
    return path


def zip_that_declares_too_much(bundle, path):
    sizes = (0xF0000000).to_bytes(4, "little") * 2
    return _patched(bundle.as_zip(path), A_FILE, 20, sizes)


def zip_that_declares_more_than_it_has(bundle, path):
    sizes = (1 << 20).to_bytes(4, "little") * 2
    return _patched(bundle.as_zip(path), A_FILE, 20, sizes)


def zip_with_an_encrypted_member(bundle, path):
    return _patched(bundle.as_zip(path), A_FILE, 8, b"\1\0")


def zip_with_a_link(bundle, path):
    return _patched(bundle.as_zip(path), A_FILE, 38, (0o120777 << 16).to_bytes(4, "little"))


def zip_with_one_name_twice(bundle, path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bundle.as_zip(path), "a") as archive:
        archive.writestr(A_FILE, b"the other one")
    return path


def zip_with_a_path_above(bundle, path):
    bundle.members["../escape"] = b"!"
    return bundle.as_zip(path)


def zip_with_an_absolute_path(bundle, path):
    bundle.members["/tmp/escape"] = b"!"
    return bundle.as_zip(path)


def zip_with_a_comment(bundle, path):
    with zipfile.ZipFile(bundle.as_zip(path), "a") as archive:
        archive.comment = b"PK" * 100
    return path


def zip_behind_a_program(bundle, path):
    raw = bundle.as_zip(path).read_bytes()
    path.write_bytes(b"#!/bin/sh\n" + raw)
    return path


def zip_with_a_directory_without_end(bundle, path):
    raw = bytearray(bundle.as_zip(path).read_bytes())
    raw[-10:-6] = (0xF0000000).to_bytes(4, "little")
    path.write_bytes(raw)
    return path


def zip_that_claims_to_be_zip64(bundle, path):
    raw = bytearray(bundle.as_zip(path).read_bytes())
    raw[-42:-38] = b"PK\6\7"
    path.write_bytes(raw)
    return path


def zip_with_another_method(bundle, path):
    return _patched(bundle.as_zip(path), A_FILE, 10, b"\x63\0")


def zip_whose_names_differ(bundle, path):
    return _patched(bundle.as_zip(path), A_FILE, 46, b"Parts")


ZIPS = {
    zip_cut_off: "zip file",
    zip_cut_by_one_byte: "zip file",
    zip_of_nothing: "zip file",
    zip_that_is_text: "zip file",
    zip_with_one_byte_changed: A_FILE,
    zip_bomb: "compressed",
    zip_bomb_of_bzip2: "compressed",
    zip_that_overlaps: "declare",
    zip_that_declares_too_much: "declares",
    zip_that_declares_more_than_it_has: "",
    zip_with_an_encrypted_member: "encrypted",
    zip_with_a_link: "not a regular file",
    zip_with_one_name_twice: "duplicate member",
    zip_with_a_path_above: "invalid file name",
    zip_with_an_absolute_path: "invalid file name",
    zip_with_a_comment: "zip file",
    zip_behind_a_program: "directory",
    zip_with_a_directory_without_end: "directory",
    zip_that_claims_to_be_zip64: "zip64",
    zip_with_another_method: "compressed",
    zip_whose_names_differ: "",
}


@pytest.mark.parametrize("spoil", [*FOLDERS, *ZIPS], ids=lambda spoil: spoil.__name__)
def test_broken_on_disk(spoil, tmp_path, refused_and_clean):
    path = spoil(BrokenBundle(), tmp_path / "bundle")
    assert {**FOLDERS, **ZIPS}[spoil] in refused_and_clean(path)


RUNNING = [verb for verb in ("run", "build", "bench") if find_spec(f"mm_edge.cli.commands.{verb}")]


@pytest.mark.parametrize("verb", RUNNING)
@pytest.mark.parametrize(
    "spoil", [file_of_another_content, file_missing, zip_bomb, link_that_leaves, zip_with_a_path_above]
)
def test_verbs_that_would_run_it_load_nothing_of_it(verb, spoil, tmp_path, refused, engines, monkeypatch):
    path = spoil(BrokenBundle(), tmp_path / "bundle")
    before = sorted(tmp_path.rglob("*"))
    for module in engines:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    refused(verb, path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("spoil", [file_of_another_content, zip_cut_off, zip_bomb, link_that_leaves])
def test_through_the_real_command(spoil, tmp_path, engines):
    """The process itself: exit code, one line, no traceback, no engine among what it has mapped into memory."""
    path = spoil(BrokenBundle(), tmp_path / "bundle")
    before = sorted(tmp_path.rglob("*"))
    program = (
        "import sys; from mm_edge.cli.app import run; code = run(sys.argv[1:]);"
        f"loaded = {set(engines)!r} & set(sys.modules); assert not loaded, loaded; sys.exit(code)"
    )
    for start in ([Path(sys.executable).with_name("mm-edge")], [sys.executable, "-c", program]):
        done = subprocess.run([*start, "inspect", path], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2, done
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
