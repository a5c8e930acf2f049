"""One peer in a process and an environment of its own, asked line by line (drive.py answers)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environments import CannotRunError, python_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MOST_S = 300.0  # for one answer: torch.compile takes the longest


class Driven:
    """One peer in a process of its own, ready."""

    def __init__(self, name: str, environment: str, model: Path, film: Path) -> None:
        command = [str(python_of(environment)), "-m", f"{HERE.name}.drive", name, str(model), str(film)]
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # until close
        began_s = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=surroundings()
        )
        self._told()
        self.start_s = time.perf_counter() - began_s

    def ask(self, *words: str) -> dict[str, Any]:
        if self._process.stdin is not None:
            self._process.stdin.write(" ".join(words) + "\n")
            self._process.stdin.flush()
        return self._told()

    def close(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(MOST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def _told(self) -> dict[str, Any]:
        """One line of JSON; CannotRunError, with everything closed, where there is none to be had."""
        limit = threading.Timer(MOST_S, self._process.kill)
        limit.start()
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        limit.cancel()
        told: dict[str, Any] = json.loads(line) if line else {"cannot": self._last_words()}
        if "cannot" in told:
            self.close()
            raise CannotRunError(told["cannot"])
        return told

    def _last_words(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        return next(_backwards(self._said.read()), f"it ended with exit code {code} and without a word")


def surroundings() -> dict[str, str]:
    """Of a process that runs this folder as a package of its own."""
    return {**os.environ, "PYTHONPATH": str(HERE.parent)}


def _backwards(text: str) -> Iterator[str]:
    return (line.strip() for line in reversed(text.splitlines()) if line.strip())
