"""One peer in a process of its own, with a clean environment; peer_main.py runs inside and answers line by line."""

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
TIMEOUT_S = 300.0  # for one answer; torch.compile takes the longest
# The only variables a peer inherits. Settings of the calling process, such as OMP_NUM_THREADS or MM_EDGE_*, would
# throttle or configure it differently than a user's shell does.
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "XDG_CACHE_HOME", "LD_LIBRARY_PATH")


class PeerProcess:
    """A peer that is loaded and has given its first result."""

    def __init__(self, name: str, environment: str, model: Path, video: Path) -> None:
        command = [str(python_of(environment)), "-m", f"{HERE.name}.peer_main", name, str(model), str(video)]
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # until close
        began_s = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=clean_environment(),
        )
        first = self._answer()
        self.start_s = time.perf_counter() - began_s
        self.environment = beyond_inherited(first["environment"])

    def request(self, *words: str) -> dict[str, Any]:
        if self._process.stdin is not None:
            self._process.stdin.write(" ".join(words) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()

    def _answer(self) -> dict[str, Any]:
        """One line of JSON; without one everything is closed, and CannotRunError is raised."""
        limit = threading.Timer(TIMEOUT_S, self._process.kill)
        limit.start()
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        limit.cancel()
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._last_line_of_stderr()}
        if "error" in answer:
            self.close()
            raise CannotRunError(answer["error"])
        return answer

    def _last_line_of_stderr(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        return next(_backwards(self._stderr.read()), f"the process ended with exit code {code} and without a message")


def clean_environment() -> dict[str, str]:
    """The environment of every peer, ours included: INHERITED, and a path on which this folder is a package."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "PYTHONPATH": str(HERE.parent)}


def beyond_inherited(environment: dict[str, str]) -> dict[str, str]:
    """What the results record: every other variable, such as those that a library sets when it is imported."""
    return {name: value for name, value in sorted(environment.items()) if name not in {*INHERITED, "PYTHONPATH"}}


def _backwards(text: str) -> Iterator[str]:
    return (line.strip() for line in reversed(text.splitlines()) if line.strip())
