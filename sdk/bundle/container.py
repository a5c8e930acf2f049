"""The two forms of a bundle on disk, a folder and an uncompressed zip, read as untrusted input."""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
from typing import TYPE_CHECKING, Protocol

from mm_edge.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILES = 10_000
MAX_FILE_BYTES = 2 << 30  # the size limit of an ONNX file
MAX_DEPTH = 16
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
MAX_DIRECTORY_BYTES = MAX_FILES * 512
_ZIP_END = struct.Struct("<4s4H2LH")  # the record at the very end of a zip file
_ZIP64_MARK_BYTES, _ZIP64_SIZE = 20, 0xFFFFFFFF
_ZIP_ERRORS = (zipfile.BadZipFile, zipfile.LargeZipFile, UnicodeDecodeError, ValueError, EOFError, struct.error)
_ZIP_ERRORS += (NotImplementedError, RuntimeError, OSError)  # type: ignore[assignment]  # what zipfile raises on malformed archives


class Container(Protocol):
    """Files by name. `sizes` are declared by the container; `read` never returns more."""

    sizes: dict[str, int]

    def read(self, name: str) -> bytes: ...

    def close(self) -> None: ...


def open_container(path: Path) -> Container:
    action = f"opening the bundle {path}"
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BundleError(
            f"{reason or error}", action=action, hint="Expected the path of a .mmb file or of a bundle folder"
        ) from None
    if stat.S_ISDIR(mode):
        return FolderContainer(path)
    if stat.S_ISREG(mode):
        return ZipContainer(path)
    raise BundleError("neither a file nor a folder", action=action)


class FolderContainer:
    """A bundle as a folder. Symbolic links are rejected: all files must be inside the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.action = f"opening the bundle {folder}"
        self.sizes: dict[str, int] = {}
        try:
            self._list(folder, "", 1)
        except OSError as error:
            raise BundleError(f"{error.strerror}: {error.filename}", action=self.action) from None

    def _list(self, folder: Path, prefix: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise BundleError(f"folders are nested deeper than {MAX_DEPTH}", action=self.action)
        with os.scandir(folder) as entries:
            for entry in entries:
                name = _checked_name(prefix + entry.name, self.action)
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    self._list(folder / entry.name, f"{name}/", depth + 1)
                elif stat.S_ISREG(status.st_mode):
                    self.sizes[name] = _checked_declared(status.st_size, name, self.action)
                else:
                    kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a regular file"
                    raise BundleError(
                        f"'{name}' is {kind}", action=self.action, hint="Copy the real file into the bundle"
                    )
                _check_count(len(self.sizes), self.action)

    def read(self, name: str) -> bytes:
        size = self.sizes[name]
        try:
            descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise BundleError(f"'{name}' is no longer a regular file", action=self.action)
                content = file.read(size + 1)
        except OSError as error:
            raise BundleError(f"'{name}' cannot be read: {error.strerror}", action=self.action) from None
        return _checked_size(content, name, size, self.action)

    def close(self) -> None:
        """Nothing to close."""


class ZipContainer:
    """A bundle as a zip with uncompressed members, which rules out zip bombs."""

    def __init__(self, path: Path) -> None:
        self.action = f"opening the bundle {path}"
        try:
            self._check_end(path)
            self._zip = zipfile.ZipFile(path)
        except BundleError:
            raise
        except _ZIP_ERRORS as error:
            found = f"not a readable zip file: {error}"
            raise BundleError(found, action=self.action, hint="Download the file again; it may be truncated") from None
        try:
            self.sizes = self._list(path.stat().st_size)
        except BaseException:
            self._zip.close()
            raise

    def _check_end(self, path: Path) -> None:
        """Limits the size of the archive's directory before zipfile reads it."""
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _ZIP64_MARK_BYTES - _ZIP_END.size))
            tail = file.read()
        hint = "Download the file again; it may be truncated"
        if len(tail) < _ZIP_END.size or not tail[-_ZIP_END.size :].startswith(b"PK\5\6"):
            raise BundleError("not a zip file: the end record is missing", action=self.action, hint=hint)
        _, _, _, _, count, directory_size, directory_start, comment = _ZIP_END.unpack(tail[-_ZIP_END.size :])
        if tail.startswith(b"PK\6\7") or directory_size == _ZIP64_SIZE:
            raise BundleError("zip64 archives (over 2 GiB) are not supported", action=self.action, hint="Use a folder")
        _check_count(count, self.action)
        if directory_start + directory_size + _ZIP_END.size != size or comment or directory_size > MAX_DIRECTORY_BYTES:
            raise BundleError("the archive directory is misplaced or too large", action=self.action, hint=hint)

    def _list(self, archive_size: int) -> dict[str, int]:
        sizes: dict[str, int] = {}
        _check_count(len(self._zip.infolist()), self.action)
        for info in self._zip.infolist():
            if info.filename.endswith("/") and info.file_size == 0:
                continue  # a folder entry, as other zip programs write them
            name = _checked_name(info.orig_filename, self.action)
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                raise BundleError(f"'{name}' is not a regular file", action=self.action)
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                how = "encrypted" if info.flag_bits & 1 else "compressed"
                raise BundleError(
                    f"'{name}' is {how}; members of a bundle must be stored uncompressed",
                    action=self.action,
                    hint="Create the archive with: zip -0",
                )
            if info.file_size != info.compress_size:
                raise BundleError(f"'{name}' declares two sizes", action=self.action)
            if name in sizes:
                raise BundleError(f"duplicate member '{name}'", action=self.action)
            sizes[name] = _checked_declared(info.file_size, name, self.action)
        if (total := sum(sizes.values())) > archive_size:
            raise BundleError(
                f"the members declare {total} bytes, but the archive has {archive_size}", action=self.action
            )
        return sizes

    def read(self, name: str) -> bytes:
        try:
            content = self._zip.read(name)
        except _ZIP_ERRORS as error:
            raise BundleError(
                f"'{name}' cannot be read: {error}", action=self.action, hint="Download it again; it may be damaged"
            ) from None
        return _checked_size(content, name, self.sizes[name], self.action)

    def close(self) -> None:
        self._zip.close()


def _checked_name(name: str, action: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise BundleError(f"invalid file name: {name[:255]!r}", action=action)
    return name


def _checked_declared(size: int, name: str, action: str) -> int:
    if size > MAX_FILE_BYTES:
        raise BundleError(f"'{name}' declares {size} bytes, the limit is {MAX_FILE_BYTES}", action=action)
    return size


def _checked_size(content: bytes, name: str, size: int, action: str) -> bytes:
    if len(content) != size:
        raise BundleError(f"'{name}' changed while it was read", action=action)
    return content


def _check_count(count: int, action: str) -> None:
    if count > MAX_FILES:
        raise BundleError(f"more than {MAX_FILES} files", action=action)
