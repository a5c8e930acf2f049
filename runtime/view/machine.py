"""The display name of the machine: its host name and board or processor."""

from __future__ import annotations

import platform
from pathlib import Path

BOARD = Path("/proc/device-tree/model")  # on a Jetson or another board
PROCESSOR = Path("/proc/cpuinfo")


def machine_name(board: Path = BOARD, processor: Path = PROCESSOR) -> str:
    return f"{platform.node()}, {_board(board) or _processor(processor) or platform.machine()}"


def _board(path: Path) -> str:
    return path.read_text(errors="replace").strip("\0\n ") if path.exists() else ""


def _processor(path: Path) -> str:
    if not path.exists():
        return ""
    for line in path.read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return ""
