"""The cameras of this machine as Linux lists them, and why one cannot be opened."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from mm_edge.errors import DeviceError

SYSFS = Path("/sys/class/video4linux")
PROC = Path("/proc")


class CameraNode(Struct, frozen=True):
    """A device file and the name that its driver gives it."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path} ({self.name})"


def camera_nodes(sysfs: Path = SYSFS) -> list[CameraNode]:
    """Every capture device; a camera's second node, which holds metadata and no pictures, is left out."""
    entries = sorted(sysfs.glob("video*"), key=lambda entry: (len(entry.name), entry.name))
    return [
        CameraNode(f"/dev/{entry.name}", _read(entry / "name") or "unnamed")
        for entry in entries
        if _read(entry / "index") in {"0", ""}
    ]


class CameraIdentity(Struct, frozen=True):
    """What a camera is known by when it comes back: what it is, and which of its kind by serial number or port."""

    kind: tuple[str, str, str]  # its name, and where USB tells them its maker and its model
    which: str


def identity_of(path: str, sysfs: Path = SYSFS) -> CameraIdentity | None:
    """None where Linux lists no such device."""
    entry = sysfs / Path(os.path.realpath(path)).name
    name = _read(entry / "name")
    if not name:
        return None
    port = Path(os.path.realpath(entry / "device"))
    maker, model, serial = (_read(port.parent / file) for file in ("idVendor", "idProduct", "serial"))
    return CameraIdentity((name, maker, model), serial or str(port))


def where_it_is(path: str, known: CameraIdentity, sysfs: Path = SYSFS) -> str:
    """The device file of a camera that was at `path` before: another one, where it came back under another number.

    What is at `path` now may be another camera, whose pictures would be taken for those of the first. One of the same
    kind is taken for it only there: without a serial number nothing tells it from its twin in another port.
    """
    now = identity_of(path, sysfs)
    if now == known:
        return path
    for node in camera_nodes(sysfs):
        if identity_of(node.path, sysfs) == known:
            return node.path
    if now is not None and now.kind != known.kind:
        raise DeviceError(
            f"another camera is there now ({now.kind[0]})",
            action=f"opening the camera {path} ({known.kind[0]}) again",
            hint=f"Plug it in again. {_what_is_there()}",
        )
    return path


def refuse_unusable(path: str) -> None:
    """Raises DeviceError where the device file is not there or may not be opened."""
    action = f"opening the camera {path}"
    if not Path(path).exists():
        raise DeviceError("there is no such device", action=action, hint=_what_is_there())
    if not os.access(path, os.R_OK | os.W_OK):
        hint = "Join the group that owns it: sudo usermod -aG video $USER, then log in again"
        raise DeviceError("this user may not use it", action=action, hint=hint)


def not_opened(path: str) -> DeviceError:
    """The error for a device that is there and may be used, but that gives nothing: the likeliest reason."""
    action = f"opening the camera {path}"
    if holders := holders_of(path):
        return DeviceError(f"it is busy: used by {', '.join(holders)}", action=action, hint="End that program")
    return DeviceError("it gives no pictures", action=action, hint=_what_is_there())


def holders_of(path: str, proc: Path = PROC) -> list[str]:
    """The other processes that have the device open, as far as this user may see them."""
    device, holders = os.path.realpath(path), []
    for process in proc.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(handle) == device for handle in (process / "fd").iterdir()):
                holders.append(f"{_read(process / 'comm') or 'process'} ({process.name})")
        except OSError:
            continue  # it has ended, or it is another user's
    return sorted(holders)


def _what_is_there() -> str:
    nodes = camera_nodes()
    return f"Cameras here: {', '.join(map(str, nodes))}" if nodes else "No camera is connected; try --camera synthetic"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
