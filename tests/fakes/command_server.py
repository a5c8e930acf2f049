"""Runs command lines of mm-edge, each in a fork of one process that has imported everything, and reports how it ended.

One JSON object a line on standard input: argv, stdin, cwd. One a line comes back: code (None: it had to be killed),
out, err. A fork costs milliseconds where a process costs half a second, and whatever a command line does to its process
is gone with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time

MOST_S = 30.0  # then it hangs


def main() -> None:
    from mm_edge.cli import app
    from mm_edge.runtime.session import session  # noqa: F401  # so that no fork has to import them

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    requests = os.fdopen(os.dup(0))
    for line in requests:
        answers.write(json.dumps(_run(app.run, **json.loads(line))) + "\n")


def _run(run, argv: list[str], stdin: str, cwd: str) -> dict[str, object]:
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode("utf-8", "surrogateescape"))
        given.seek(0)
        child = os.fork()
        if child == 0:
            code = 99
            try:
                os.setpgid(0, 0)
                os.chdir(cwd)
                for number, file in enumerate((given, out, err)):
                    os.dup2(file.fileno(), number)
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                code = run(argv)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        code = _waited(child)
        out.seek(0)
        err.seek(0)
        return {
            "code": code,
            "out": out.read().decode("utf-8", "replace"),
            "err": err.read().decode("utf-8", "replace"),
        }


def _waited(child: int) -> int | None:
    until_s = time.monotonic() + MOST_S
    while time.monotonic() < until_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    main()
