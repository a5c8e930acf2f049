"""Writing a bundle is atomic: killed at any moment, the old one is whole, or none is there."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from dying_writer import version_at
from small_bundle import FILES, make_manifest

from mm_edge.bundle.bundle import Bundle
from mm_edge.bundle.writer import write_bundle
from mm_edge.errors import MmEdgeError, UsageError, WorkFailedError

OLD, NEW = make_manifest(version=3), make_manifest(version=4)
FAKES = Path(__file__).parent.parent / "fakes"


@pytest.fixture(params=["folder", "zip"])
def target(request, tmp_path):
    return tmp_path / "out" / ("b.mmb" if request.param == "zip" else "b")


@pytest.mark.parametrize("old", [None, 3], ids=["nothing before", "an old one before"])
def test_killed_at_every_step(target, old):
    """One process a step, killed by SIGKILL right before it; between two steps the file system does not change."""
    target.parent.mkdir()
    program = [sys.executable, FAKES / "dying_writer.py", target, str(old).lower()]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) > 30, "the steps were really counted"
    change = seen.index(4)
    assert seen == [old] * change + [4] * (len(seen) - change), "it changes once, from whole to whole"
    assert 0 < change < len(seen) - 1


def test_what_a_killed_writer_left_is_removed_by_the_next(target):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = target.parent / f".{target.name}.partial-{gone.pid}" / "parts"
    left.mkdir(parents=True)
    write_bundle(target, NEW, FILES)
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_a_random_moment(target):
    """The same with the clock instead of steps: a writer in a loop, killed from outside."""
    target.parent.mkdir()
    program = f"""
import sys
sys.path.insert(0, {str(FAKES)!r})
from pathlib import Path
from small_bundle import FILES, make_manifest
from mm_edge.bundle.writer import write_bundle
made = [make_manifest(version=int(version)) for version in sys.argv[2]]
print("ready", flush=True)
while True:
    for manifest in made:
        write_bundle(Path(sys.argv[1]), manifest, FILES)
"""
    seen = []
    for attempt in range(60):
        order = "34" if attempt % 2 else "43"  # so that both are seen where the disk is slow, too
        with subprocess.Popen([sys.executable, "-c", program, target, order], stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.0137 * attempt % 0.4)  # this is the moment that is tested, not a wait for something
            writer.kill()
        seen.append(version_at(target))
    assert set(seen) <= {None, 3, 4}
    assert {3, 4} <= set(seen)


def failing(call_number, error):
    """Stands in for os.fsync: fails at one call."""
    calls = iter(range(1, 1000))

    def fsync(_descriptor):
        if next(calls) == call_number:
            raise error

    return fsync


@pytest.mark.parametrize("call_number", range(1, 16))
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk full", "Ctrl-C"]
)
def test_failing_at_every_write_leaves_the_old_one_and_nothing_else(target, call_number, error, monkeypatch):
    write_bundle(target, OLD, FILES)
    monkeypatch.setattr(os, "fsync", failing(call_number, error))
    try:
        write_bundle(target, NEW, FILES)
    except (MmEdgeError, KeyboardInterrupt):
        assert version_at(target) in {3, 4}
    else:
        assert version_at(target) == 4
    assert sorted(entry.name for entry in target.parent.iterdir()) == [target.name]


def test_a_full_disk_is_reported_once(target, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(1, OSError(28, "No space left on device")))
    with pytest.raises(WorkFailedError, match="No space left on device"):
        write_bundle(target, NEW, FILES)
    assert list(target.parent.iterdir()) == []


def test_both_shapes_hold_the_same(bundle_path):
    with Bundle.open(bundle_path) as bundle:
        assert {name: bundle.read(name) for name in bundle.manifest.digests} == FILES


def test_same_content_gives_the_same_archive(tmp_path):
    for name in ("a.mmb", "b.mmb"):
        write_bundle(tmp_path / name, OLD, FILES)
    assert (tmp_path / "a.mmb").read_bytes() == (tmp_path / "b.mmb").read_bytes()


def test_archive_is_readable_by_other_programs(tmp_path):
    write_bundle(tmp_path / "a.mmb", OLD, FILES)
    with zipfile.ZipFile(tmp_path / "a.mmb") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "a")
    assert version_at(tmp_path / "a") == 3


def test_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="is not a bundle"):
        write_bundle(tmp_path / "home", OLD, FILES)
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_folder_with_the_name_of_an_archive_is_not_replaced(tmp_path):
    (tmp_path / "b.mmb").mkdir()
    with pytest.raises(UsageError, match="a folder of that name exists"):
        write_bundle(tmp_path / "b.mmb", OLD, FILES)


def test_content_that_changed_after_its_digest_is_not_written(target):
    with pytest.raises(WorkFailedError, match="changed after its digest"):
        write_bundle(target, OLD, {**FILES, "tokenizer.json": b"another"})
    assert not target.exists()


def test_files_that_the_manifest_does_not_name_are_not_written(target):
    with pytest.raises(WorkFailedError, match=r"stray\.bin"):
        write_bundle(target, OLD, {**FILES, "stray.bin": b""})


def test_left_overs_of_a_running_writer_are_not_touched(target):
    target.parent.mkdir()
    ours = target.parent / f".{target.name}.partial-{os.getppid()}"
    ours.mkdir()
    write_bundle(target, OLD, FILES)
    assert ours.exists()


@pytest.mark.parametrize(
    "name", ["/etc/mm-edge", "../above", "a/../../above", "a\\b", ".hidden", "", "x" * 256, "a\nb"]
)
def test_a_name_that_leaves_the_bundle_is_refused_before_anything_is_written(target, name):
    manifest = make_manifest({**FILES, name: b"x"})
    before = sorted(target.parent.parent.rglob("*"))
    with pytest.raises(UsageError, match=r"Nothing was written\. Correct the name"):
        write_bundle(target, manifest, {**FILES, name: b"x"})
    assert sorted(target.parent.parent.rglob("*")) == before
