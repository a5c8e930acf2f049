"""Runs command lines in forks of one process (command_server.py), and checks that each ends as documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CODES = {0, 1, 2, 3, 130}
SERVER = Path(__file__).with_name("command_server.py")


class Commands:
    """A server of command lines, whose working directory is `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {**os.environ, "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
        (folder / "home").mkdir()
        self._server = subprocess.Popen(
            [sys.executable, SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *argv: str, stdin: str = "") -> dict:
        line = json.dumps({"argv": [str(word) for word in argv], "stdin": stdin, "cwd": str(self.folder)})
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def check(self, *argv: str, stdin: str = "", code: int | None = None) -> dict:
        """The outcome, which must be a documented one (`code`: this one): one message where it failed, and no traceback
        ever.
        """
        ended = self.run(*argv, stdin=stdin)
        said = [line for line in ended["err"].splitlines() if line.startswith("error: ")]
        shown = f"{[str(word)[:60] for word in argv]}: {ended}"
        assert ended["code"] in (CODES if code is None else {code}), shown
        assert "Traceback" not in ended["err"], shown
        assert "internal error" not in ended["err"], shown
        assert len(said) == (ended["code"] not in {0, 130}), shown
        return ended

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()
