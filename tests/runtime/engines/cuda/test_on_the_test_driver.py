"""The device layer, and the whole loop on it: the real pycuda and cuda.bindings over a driver that is ours.

A process that has loaded the test driver believes in a GPU; so each file of on_device/ gets one to itself.
"""

import subprocess
import sys
from pathlib import Path

import cuda_driver
import pytest

FILES = sorted((Path(__file__).parent / "on_device").glob("test_*.py"))


@pytest.fixture(scope="module")
def environment():
    return cuda_driver.environment()


@pytest.mark.timeout(900)  # the first time of all it compiles pycuda
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_holds(environment, file, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    kept = {"MM_EDGE_ON_DEVICE": "test driver", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=400, env={**environment, **kept}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
