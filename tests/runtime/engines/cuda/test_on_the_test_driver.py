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


def test_a_driver_that_does_not_compile_is_a_fault_and_no_reason_to_skip(monkeypatch, tmp_path):
    root = cuda_driver.toolkit()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(cuda_driver.REQUIRED, raising=False)
    monkeypatch.setattr(cuda_driver, "SOURCE", tmp_path / "wrong.c")
    (tmp_path / "wrong.c").write_text("API(cuInit, unsigned flags) { return nonsense }")
    with pytest.raises(pytest.fail.Exception, match="cc "):
        cuda_driver._driver(root)


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_without_a_compiler_it_is_skipped_unless_that_would_hide_it(monkeypatch, required, outcome):
    monkeypatch.setenv(cuda_driver.REQUIRED, required)
    with pytest.raises(outcome, match="'no-such-compiler' is not installed"):
        cuda_driver._run("no-such-compiler", ours=True)
