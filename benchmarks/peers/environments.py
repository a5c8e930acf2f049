"""A virtual environment for each peer, created from its pinned requirements on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mm_edge.places import cache_folder

REQUIREMENTS = Path(__file__).parent / "requirements"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that the distribution's GStreamer bindings belong to
WITH_SYSTEM_PACKAGES = {"gstreamer"}


class CannotRunError(Exception):
    """The peer cannot run this model, or its environment cannot be created; the message is the library's."""


def python_of(environment: str) -> Path:
    """The interpreter of an environment; without a name, the current one."""
    if not environment:
        return Path(sys.executable)
    wanted = (REQUIREMENTS / f"{environment}.txt").read_text(encoding="utf-8")
    folder = cache_folder("peers") / environment
    python, made = folder / "bin" / "python", folder / "made-from.txt"
    if made.exists() and made.read_text(encoding="utf-8") == wanted:
        return python
    system = [SYSTEM_PYTHON, "-m", "venv", "--system-site-packages"]
    for command in (
        [*(system if environment in WITH_SYSTEM_PACKAGES else [sys.executable, "-m", "venv"]), "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS / f"{environment}.txt")],
    ):
        ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if ran.returncode:
            lines = ran.stderr.strip().splitlines() or [""]
            raise CannotRunError(f"cannot create its environment: {lines[-1]}")
    made.write_text(wanted, encoding="utf-8")
    return python


def versions_of(environment: str) -> dict[str, str]:
    """The versions pinned by its requirements."""
    lines = (REQUIREMENTS / f"{environment}.txt").read_text(encoding="utf-8").splitlines() if environment else []
    return dict(line.split("==") for line in lines)
