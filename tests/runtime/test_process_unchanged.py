"""Importing mm-edge leaves the process as it was, and what a run changes is restored at its end."""

import json
import os
import subprocess
import sys
import threading

import pytest
import threadpoolctl
from bundles import senses_bundle
from sinks import Kept
from sources import END, Script, picture

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.runtime.session import blas
from mm_edge.runtime.session.run import Run

SOON_S = 20.0
# What a program can observe of its process: all that an import might change for other libraries or for children.
IMPORTS = """
import json, logging, os, signal, subprocess, sys
import cv2, numpy, onnxruntime, threadpoolctl

def observe():
    child = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    return {
        "environment": dict(os.environ),
        "pools": sorted(threadpoolctl.threadpool_info(), key=lambda pool: pool["filepath"]),
        "handlers": {number: str(signal.getsignal(number)) for number in signal.valid_signals()},
        "levels": {
            name: logger.level
            for name, logger in logging.root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger) and not name.startswith("mm_edge")
        },
        "root": [logging.root.level, len(logging.root.handlers)],
        "opencv": [cv2.getNumThreads(), cv2.utils.logging.getLogLevel()],
        "switch interval": sys.getswitchinterval(),
        "child": json.loads(subprocess.run(child, capture_output=True, check=True).stdout),
    }

import concurrent.futures, asyncio, email  # modules of Python that create loggers of their own
before = observe()
import mm_edge, mm_edge.runtime, mm_edge.runtime.session.session, mm_edge.runtime.session.open
import mm_edge.runtime.sources.registry, mm_edge.runtime.engines.onnxruntime, mm_edge.runtime.view.server
mm_edge.open, mm_edge.Session, mm_edge.Bundle
after = observe()
before["levels"] = {name: level for name, level in before["levels"].items() if name in after["levels"]}
after["levels"] = {name: level for name, level in after["levels"].items() if name in before["levels"]}
print(json.dumps([before, after]))
"""


def test_importing_changes_nothing_in_the_process():
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, env=clean)
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert after == before
    assert not [name for name in after["child"] if name.endswith("_NUM_THREADS")]
    assert "OPENCV_LOG_LEVEL" not in after["environment"]


def numpy_threads():
    return blas.numpy_blas().get_threads()


@pytest.fixture
def two_threads():
    """numpy's BLAS with more than one thread, on a machine with one core too."""
    if blas.numpy_blas() is None:
        pytest.skip("numpy does not use OpenBLAS here")
    usual = numpy_threads()
    blas.numpy_blas().set_threads(2)
    yield
    assert blas._users == 0
    blas.numpy_blas().set_threads(usual)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")) as opened:
        yield opened


def live_run(bundle):
    camera = Script("image", [picture(1, 0)], live=True)
    return camera, Run(bundle, RunConfig(), [camera], [Kept()])


def test_a_run_limits_the_blas_of_numpy_and_restores_it(bundle, two_threads):
    camera, run = live_run(bundle)
    assert numpy_threads() == 2
    with run:
        assert numpy_threads() == 1
        camera.items.put(END)
        assert run.wait(SOON_S)
    assert numpy_threads() == 2


def test_the_last_of_several_runs_restores_it(bundle, two_threads):
    _, first = live_run(bundle)
    _, second = live_run(bundle)
    with first:
        with second:
            assert numpy_threads() == 1
        assert numpy_threads() == 1
    assert numpy_threads() == 2


def test_a_run_that_does_not_start_restores_it(bundle, two_threads):
    class Absent(Script):
        def open(self):
            raise RuntimeError("no such camera")

    run = Run(bundle, RunConfig(), [Absent("image", live=True)], [])
    with pytest.raises(RuntimeError, match="no such camera"), run:
        pass
    assert numpy_threads() == 2


def test_concurrent_users_are_counted(two_threads):
    inside, leave = threading.Barrier(5), threading.Event()

    def use():
        with blas.single_threaded_blas():
            inside.wait(SOON_S)
            leave.wait(SOON_S)

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    inside.wait(SOON_S)
    assert numpy_threads() == 1
    leave.set()
    for user in users:
        user.join(SOON_S)
    assert numpy_threads() == 2


def test_only_the_library_of_numpy_is_limited(two_threads):
    """OpenCV brings an OpenBLAS of its own, and torch too."""

    def threads_by_file():
        return {info["filepath"]: info["num_threads"] for info in threadpoolctl.threadpool_info()}

    before = threads_by_file()
    with blas.single_threaded_blas():
        during = threads_by_file()
    changed = [file for file, threads in during.items() if threads != before[file]]
    assert len(changed) == 1
    assert "numpy" in changed[0] or "/lib/" in changed[0]
    assert threads_by_file() == before
