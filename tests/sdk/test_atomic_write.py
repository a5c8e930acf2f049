"""Files that are written completely or not at all."""

import pytest

from mm_edge.atomic_write import PARTIAL, atomic_path, atomic_write


def test_a_file_and_its_folder_are_created(tmp_path):
    path = tmp_path / "new" / "file.bin"
    atomic_write(path, b"content")
    assert path.read_bytes() == b"content"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]
    assert path.stat().st_mode & 0o077 == 0


def test_a_failed_write_leaves_the_previous_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "file.bin"
    atomic_write(path, b"before")

    def fill_the_disk():
        with atomic_path(path) as partial:
            partial.write_bytes(b"half")
            assert partial.name.startswith(PARTIAL)
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill_the_disk()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
