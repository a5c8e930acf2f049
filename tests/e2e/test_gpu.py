"""On a machine with a GPU: every engine that loads is checked and timed, and must keep what is promised of it.

MM_EDGE_SOAK_MINUTES (10) and MM_EDGE_GPU_SECONDS (10, of each run) shorten it, MM_EDGE_GPU_RESULTS names the folder of
the reports, MM_EDGE_GPU_LAYERS (24) how much the heavy encoder computes.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bundles import senses_bundle

from mm_edge.benchmarks.studies.gpu.gpu_report import (
    GpuReport,
    failures,
    faults_found,
    leaks,
    slow_hosts,
    slow_pipelines,
    waits,
)
from mm_edge.runtime.engines.available import DRIVER, ON_A_GPU, missing

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(7200)]
RESULTS = Path(os.environ.get("MM_EDGE_GPU_RESULTS", Path(__file__).parents[2] / "benchmarks/results"))
SECONDS = os.environ.get("MM_EDGE_GPU_SECONDS", "10")
LAYERS = int(os.environ.get("MM_EDGE_GPU_LAYERS", "24"))
TO_INSTALL = "what else: docs/gpu-status.md#running-it"
SOAK_MINUTES = os.environ.get("MM_EDGE_SOAK_MINUTES", "10")


def there_is_a_driver():
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return False
    return True


def measure(name, *options):
    lacks = {engine: list(missing(engine)) for engine in ON_A_GPU}
    if all(lacks.values()):
        told = "; ".join(f"{engine}: {', '.join(why)}" for engine, why in lacks.items())
        if not there_is_a_driver():
            pytest.skip(told)
        pytest.fail(f"nothing was tried on the GPU. {told}. First of all: .venv/bin/pip install pycuda ({TO_INSTALL})")
    path = RESULTS / f"{name}.json"
    command = [
        sys.executable,
        "-m",
        "mm_edge.benchmarks.studies.gpu.gpu",
        *options,
        "--seconds",
        SECONDS,
        "--json",
        str(path),
    ]
    subprocess.run(command, check=True)
    return msgspec.json.decode(path.read_bytes(), type=GpuReport)


@pytest.fixture(scope="module")
def report():
    """What ships, measured once and kept beside the other results."""
    return measure("gpu", "--soak", SOAK_MINUTES, "--sanitize", "--trace", str(RESULTS / "gpu-trace.json"))


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    """An encoder of milliseconds. What ships takes a big GPU less than handing a value from thread to thread does, and
    would say nothing about the pipeline.
    """
    path = tmp_path_factory.mktemp("bundle") / "heavy.mmb"
    return measure("gpu-heavy", str(senses_bundle(path, size=224, layers=LAYERS, golden=True)))


def test_every_engine_that_loads_passes_the_golden_check(report, heavy):
    assert failures(report) + failures(heavy) == []


def test_a_tick_costs_the_host_little(report, heavy):
    assert slow_hosts(report) + slow_hosts(heavy) == []


def test_no_copy_keeps_the_host_waiting(report, heavy):
    assert waits(report) + waits(heavy) == []


def test_the_pipeline_adds_little_to_device_and_preparation_and_gains_by_overlap(heavy):
    assert slow_pipelines(heavy) == []


def test_memory_stays_flat(report):
    assert leaks(report) == []


def test_the_sanitizer_finds_nothing(report):
    assert faults_found(report) == []
