"""Writes a bundle atomically: into a temporary path, then replacing the old one in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mm_edge.errors import UsageError, WorkFailedError

from .bundle import MANIFEST_FILE, SIGNATURE_FILE, digest
from .manifest import Manifest, decode_manifest, encode_manifest
from .signing import sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ZIP_SUFFIX = ".mmb"
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # deterministic archives
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def write_bundle(
    target: Path, manifest: Manifest, files: Mapping[str, bytes | Path], private_key: Path | None = None
) -> None:
    """Writes the bundle at `target`: a zip if the name ends in .mmb, else a folder. Files are bytes or paths."""
    target = Path(target)
    raw = encode_manifest(manifest)
    # What could not be read back, such as a file name that leaves the bundle, is refused before anything is written.
    decode_manifest(raw, f"writing {target}", "Nothing was written. Correct the name in the model's spec")
    signature = sign(raw, private_key) if private_key else None
    if set(files) != set(manifest.digests):
        wrong = sorted(set(files) ^ set(manifest.digests))
        raise WorkFailedError(f"files and digests differ: {', '.join(wrong)}", action=f"writing {target}")
    head = {MANIFEST_FILE: raw, **({SIGNATURE_FILE: signature} if signature else {})}
    with _beside(target) as partial:
        if target.suffix == ZIP_SUFFIX:
            _write_zip(partial, head, files, manifest)
            partial.replace(target)
        else:
            _write_folder(partial, head, files, manifest)
            _exchange_folder(partial, target)
        _sync_folder(target.parent)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A temporary path next to the target, on the same file system, removed at the end."""
    if (
        target.is_dir()
        and target.suffix != ZIP_SUFFIX
        and any(target.iterdir())
        and not (target / MANIFEST_FILE).is_file()
    ):
        raise UsageError("the folder exists and is not a bundle", action=f"writing {target}", hint="Use another path")
    if target.is_dir() and target.suffix == ZIP_SUFFIX:
        raise UsageError(
            "a folder of that name exists", action=f"writing {target}", hint="Use another path, or remove it"
        )
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(target)
        yield partial
    except zipfile.LargeZipFile:
        hint = f"Write it as a folder: {target.with_suffix('')}"
        raise WorkFailedError(
            "the bundle is larger than 2 GiB, too large for one file", action=f"writing {target}", hint=hint
        ) from None
    except OSError as error:
        raise WorkFailedError(
            f"{error.strerror or error}",
            action=f"writing {target}",
            hint="Nothing was changed; free disk space or use another path",
        ) from error
    finally:
        _remove(partial)


def _remove_left_over(target: Path) -> None:
    """Removes the files of a killed writer, but not those of a running one."""
    for path in target.parent.glob(f".{target.name}.partial-*"):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _content(name: str, files: Mapping[str, bytes | Path], manifest: Manifest) -> bytes:
    """The bytes of one file, checked against the manifest."""
    given = files[name]
    content = given if isinstance(given, bytes) else given.read_bytes()
    if digest(content) != manifest.digests[name]:
        raise WorkFailedError(f"'{name}' changed after its digest was taken", action="writing a bundle")
    return content


def _write_zip(path: Path, head: Mapping[str, bytes], files: Mapping[str, bytes | Path], manifest: Manifest) -> None:
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
            for name in [*head, *sorted(files)]:
                info = zipfile.ZipInfo(name, _FIXED_DATE)
                info.external_attr = 0o100644 << 16
                archive.writestr(info, head[name] if name in head else _content(name, files, manifest))
        file.flush()
        os.fsync(file.fileno())


def _write_folder(path: Path, head: Mapping[str, bytes], files: Mapping[str, bytes | Path], manifest: Manifest) -> None:
    path.mkdir()
    for name in [*sorted(files), *head]:
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            file.write(head[name] if name in head else _content(name, files, manifest))
            file.flush()
            os.fsync(file.fileno())
    for folder in [path, *(entry for entry in path.rglob("*") if entry.is_dir())]:
        _sync_folder(folder)


def _exchange_folder(new: Path, target: Path) -> None:
    """Replaces the folder atomically. rename() cannot replace a non-empty folder; exchanging the names can."""
    if not target.exists():
        new.rename(target)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        if code in {errno.EINVAL, errno.ENOSYS}:
            raise WorkFailedError(
                "this file system cannot exchange two folders atomically, so the old bundle could be lost",
                action=f"replacing the folder {target}",
                hint=f"Remove it first, or write a single file: {target}{ZIP_SUFFIX}",
            )
        raise OSError(code, os.strerror(code), str(target))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
