"""An environment for each peer, made from its pinned requirements the first time that it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mm_edge.places import cache_folder

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that the distribution's GStreamer bindings belong to
OF_THE_SYSTEM = {"gstreamer"}  # environments that see the system's packages


class CannotRunError(Exception):
    """What a peer, or making its environment, said when it was given this model."""


def python_of(environment: str) -> Path:
    """Its interpreter; none named: this one."""
    if not environment:
        return Path(sys.executable)
    wanted = (HERE / f"{environment}.txt").read_text(encoding="utf-8")
    folder = cache_folder("peers") / environment
    python, made = folder / "bin" / "python", folder / "made-from.txt"
    if made.exists() and made.read_text(encoding="utf-8") == wanted:
        return python
    system = [SYSTEM_PYTHON, "-m", "venv", "--system-site-packages"]
    for command in (
        [*(system if environment in OF_THE_SYSTEM else [sys.executable, "-m", "venv"]), "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "-r", str(HERE / f"{environment}.txt")],
    ):
        ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if ran.returncode:
            said = ran.stderr.strip().splitlines() or [""]
            raise CannotRunError(f"its environment cannot be made: {said[-1]}")
    made.write_text(wanted, encoding="utf-8")
    return python


def versions_of(environment: str) -> dict[str, str]:
    """What its requirements pin."""
    lines = (HERE / f"{environment}.txt").read_text(encoding="utf-8").splitlines() if environment else []
    return dict(line.split("==") for line in lines)
