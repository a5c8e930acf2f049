"""A program: writes a bundle again and again, each time in a process that kills itself one step later.

usage: python dying_writer.py TARGET OLD_VERSION|none     prints the version that stands there after each death, as JSON
"""

import json
import os
import shutil
import signal
import sys
import zipfile
from pathlib import Path

from small_bundle import FILES, make_manifest

from mm_edge.bundle import writer
from mm_edge.bundle.bundle import Bundle

# The ways in which writing reaches the file system: those that Python reports by itself, and those that are wrapped.
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree"}
WRAPPED = {
    os: ("fsync", "close", "stat", "lstat"),
    writer: ("_exchange_folder", "_write_zip", "_write_folder"),
    zipfile.ZipFile: ("writestr", "close"),
}


def write_and_die(target: Path, kill_at: int) -> None:
    """In a child: SIGKILL right before the step `kill_at`; after a call counts as the step before the next."""
    count = 0

    def step(*_: object) -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(function):
        def call(*args, **options):
            step()
            result = function(*args, **options)
            step()
            return result

        return call

    os.fsync = lambda _: None  # what the disk holds matters when the power fails; a killed process loses nothing of it
    for owner, names in WRAPPED.items():
        for name in names:
            setattr(owner, name, stepping(getattr(owner, name)))
    sys.addaudithook(lambda event, _: step() if event in EVENTS else None)
    writer.write_bundle(target, make_manifest(version=4), FILES)


def version_at(path: Path) -> int | None:
    """The version of the bundle that stands there, verified; None where nothing is there at all."""
    if not os.path.lexists(path):
        return None
    with Bundle.open(path) as bundle:
        return bundle.manifest.version


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def copy(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy(path, target)


def main(target: Path, old_version: int | None) -> None:
    seen, killed = [], True
    if old_version is not None:
        writer.write_bundle(target, make_manifest(version=old_version), FILES)
        kept = target.rename(target.with_name("kept"))
    while killed:
        for left in target.parent.glob(f"*{target.name}*"):
            remove(left)
        if old_version is not None:
            copy(kept, target)
        child = os.fork()
        if child == 0:
            write_and_die(target, len(seen) + 1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in {0, -signal.SIGKILL}:
            sys.exit(f"the writer ended with {status}")
        killed = status != 0
        seen.append(version_at(target))
    for left in target.parent.iterdir():
        if left != target:
            remove(left)
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), None if sys.argv[2] == "none" else int(sys.argv[2]))
