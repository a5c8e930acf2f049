"""One peer in a process and an environment of its own, asked line by line (drive.py answers)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mm_edge.errors import WorkFailedError
from mm_edge.places import cache_folder

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that the distribution's GStreamer bindings belong to
OF_THE_SYSTEM = {"gstreamer"}  # environments that see the system's packages


class CannotRunError(Exception):
    """What a peer, or making its environment, said when it was given this model."""


class Driven:
    """One peer in a process of its own, ready."""

    def __init__(self, name: str, environment: str, model: Path, film: Path) -> None:
        command = [python_of(environment), "-m", f"{HERE.name}.drive", name, str(model), str(film)]
        began_s = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        )
        self.name = name
        told = self._told()
        if "cannot" in told:
            self.close()
            raise CannotRunError(told["cannot"])
        self.first: int = told["first"]
        self.start_s = time.perf_counter() - began_s

    def ask(self, *words: str) -> dict[str, Any]:
        if self._process.stdin is not None:
            self._process.stdin.write(" ".join(words) + "\n")
            self._process.stdin.flush()
        return self._told()

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _told(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise WorkFailedError("it ended without an answer", asked=f"running the peer {self.name}")
        told: dict[str, Any] = json.loads(line)
        return told


def python_of(environment: str) -> str:
    """The interpreter of a peer's environment, made from its pinned requirements if it is not there."""
    if not environment:
        return sys.executable
    requirements = HERE / f"{environment}.txt"
    folder = cache_folder("peers") / environment
    python = folder / "bin" / "python"
    made = folder / "made-from.txt"
    if not made.exists() or made.read_text(encoding="utf-8") != requirements.read_text(encoding="utf-8"):
        maker = [SYSTEM_PYTHON, "-m", "venv", "--system-site-packages"] if environment in OF_THE_SYSTEM else []
        for command in (
            [*(maker or [sys.executable, "-m", "venv"]), "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "-q", "-r", str(requirements)],
        ):
            ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            if ran.returncode:
                raise CannotRunError(f"its environment cannot be made: {(ran.stderr.strip().splitlines() or [''])[-1]}")
        made.write_text(requirements.read_text(encoding="utf-8"), encoding="utf-8")
    return str(python)
