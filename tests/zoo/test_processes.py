"""Worker processes end with the process that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mm_edge.zoo.worlds.processes import worker_processes

WAITING = """
import os, sys, time
from mm_edge.cli import __main__, app
from mm_edge.zoo.worlds.processes import worker_processes

def work(_):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(60)

def command(argv):
    def run(*_, **__):
        with worker_processes(2) as pool:
            list(pool.map(work, range(100)))
    return run

app._command = command
sys.argv[1:] = ["train"]
__main__.main()
"""


def _gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 130), ("SIGHUP", 130), ("SIGKILL", -9)])
@pytest.mark.parametrize("whole_group", [False, True], ids=["alone", "group"])
def test_no_worker_outlives_an_interrupted_command(number, code, whole_group):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        (os.killpg if whole_group else os.kill)(process.pid, getattr(signal, number))
        assert process.wait(timeout=20) == code
        until_s = time.monotonic() + 20
        while not all(map(_gone, workers)) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert all(map(_gone, workers))
        assert process.stderr.read() == b""
    finally:
        os.killpg(process.pid, signal.SIGKILL) if not all(map(_gone, workers)) else None
        process.stdout.close()
        process.stderr.close()


def test_the_work_is_done():
    with worker_processes(2) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]


def test_an_error_is_passed_on():
    with pytest.raises(TypeError), worker_processes(1) as pool:
        list(pool.map(abs, ["x"]))
