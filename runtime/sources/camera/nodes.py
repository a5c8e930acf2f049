"""The cameras that Linux lists, and the reason why one cannot be opened."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from mm_edge.errors import DeviceError

SYSFS = Path("/sys/class/video4linux")
PROC = Path("/proc")


class CameraNode(Struct, frozen=True):
    """A device file and the name its driver reports."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path} ({self.name})"


def camera_nodes(sysfs: Path = SYSFS) -> list[CameraNode]:
    """Every capture device, without the second node of a camera, which carries only metadata."""
    entries = sorted(sysfs.glob("video*"), key=lambda entry: (len(entry.name), entry.name))
    return [
        CameraNode(f"/dev/{entry.name}", _read(entry / "name") or "unnamed")
        for entry in entries
        if _read(entry / "index") in {"0", ""}
    ]


class CameraIdentity(Struct, frozen=True):
    """Identifies a camera that reconnects: its kind, and the individual by serial number or port."""

    kind: tuple[str, str, str]  # name, and over USB also vendor and product
    which: str


def identity_of(path: str, sysfs: Path = SYSFS) -> CameraIdentity | None:
    """None if Linux lists no such device."""
    entry = sysfs / Path(os.path.realpath(path)).name
    name = _read(entry / "name")
    if not name:
        return None
    port = Path(os.path.realpath(entry / "device"))
    vendor, product, serial = (_read(port.parent / file) for file in ("idVendor", "idProduct", "serial"))
    return CameraIdentity((name, vendor, product), serial or str(port))


def current_path(path: str, known: CameraIdentity, sysfs: Path = SYSFS) -> str:
    """The device file of a camera that was at `path` before; it may have reconnected under another number.

    Another camera may be at `path` now, and its images must not be mistaken for those of the first. A camera of the
    same kind is accepted only at `path`: without a serial number it cannot be distinguished from a twin in another
    port.
    """
    now = identity_of(path, sysfs)
    if now == known:
        return path
    for node in camera_nodes(sysfs):
        if identity_of(node.path, sysfs) == known:
            return node.path
    if now is not None and now.kind != known.kind:
        raise DeviceError(
            f"another camera is connected there now ({now.kind[0]})",
            action=f"reopening the camera {path} ({known.kind[0]})",
            hint=f"Reconnect it. {_available()}",
        )
    return path


def refuse_unusable(path: str) -> None:
    """Raises DeviceError if the device file is missing or this user may not open it."""
    action = f"opening the camera {path}"
    if not Path(path).exists():
        raise DeviceError("no such device", action=action, hint=_available())
    if not os.access(path, os.R_OK | os.W_OK):
        hint = "Join the group that owns it: sudo usermod -aG video $USER, then log out and in"
        raise DeviceError("permission denied", action=action, hint=hint)


def not_opened(path: str) -> DeviceError:
    """The error for a device that exists and may be opened but delivers nothing: the most likely reason."""
    action = f"opening the camera {path}"
    if holders := holders_of(path):
        return DeviceError(f"the device is busy: used by {', '.join(holders)}", action=action, hint="Stop that program")
    return DeviceError("no image received", action=action, hint=_available())


def holders_of(path: str, proc: Path = PROC) -> list[str]:
    """Other processes that have the device open, as far as this user can see them."""
    device, holders = os.path.realpath(path), []
    for process in proc.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(handle) == device for handle in (process / "fd").iterdir()):
                holders.append(f"{_read(process / 'comm') or 'process'} ({process.name})")
        except OSError:
            continue  # the process has ended or belongs to another user
    return sorted(holders)


def _available() -> str:
    nodes = camera_nodes()
    return (
        f"Available cameras: {', '.join(map(str, nodes))}"
        if nodes
        else "No camera is connected; try --camera synthetic"
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
