"""A device that is lost while it runs: it stays lost, so each run has a process, and that must end in peace."""

import subprocess
import sys
from pathlib import Path

import pytest
from bundles import senses_bundle

FAKES = Path(__file__).parents[4] / "fakes"
# Nothing heals, and what pycuda holds lies about until the interpreter ends.
RUN = """
import ctypes, sys
sys.path.insert(0, sys.argv[2])
from host_double import host_double
from sinks import Kept
from sources import Script, pictures
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.runtime.engines.cuda.device import open_device
from mm_edge.runtime.session.run import Run

kept = Kept()
engine = host_double(open_device())
with Bundle.open(sys.argv[1]) as bundle:
    with Run(bundle, RunConfig(), [Script("image", pictures(50_000))], [kept], engine=engine) as session:
        while not kept.predictions:
            assert not session.wait(0.01)
        driver, code = ctypes.CDLL("libcuda.so.1"), int(sys.argv[3])
        driver.testcuda_lose(code)
        if sys.argv[4] == "popping":
            driver.testcuda_fault(b"cuCtxPopCurrent_v2", -1, code)
        assert session.wait(100)
assert session.summary.dropped["image"]["failed"] <= 3, session.summary.dropped
try:
    session.raise_error()
except Exception as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("also", ["computing", "popping"])
@pytest.mark.parametrize(
    ("code", "name"), [(719, "LAUNCH_FAILED"), (700, "ILLEGAL_ADDRESS"), (46, "DEVICE_UNAVAILABLE")]
)
def test_the_run_ends_at_once_with_a_message_and_exit_code_3(tmp_path, code, name, also):
    """The driver may tell it even where a thread takes the context off its stack, and not take it off."""
    path = senses_bundle(tmp_path / "senses.mmb", golden=True)
    command = [sys.executable, "-c", RUN, str(path), str(FAKES), str(code), also]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"failed with CUDA_ERROR_{name}. Restart the program; if it recurs, see mm-edge doctor" in done.stdout
    assert "the GPU is lost: cu" in done.stdout
    assert "PyCUDA WARNING" not in done.stderr
    assert "Traceback" not in done.stderr
