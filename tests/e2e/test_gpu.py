"""On a machine with a GPU: every engine that loads is checked and timed, and must keep what is promised of it."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mm_edge.benchmarks.gpu import LEAST_RATE_RATIO, MOST_HOST_MS, MOST_P50_RATIO, GpuReport
from mm_edge.runtime.engines.available import ON_A_GPU, missing

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(7200)]
RESULTS = Path(__file__).parents[2] / "benchmarks/results"
SOAK_MINUTES = os.environ.get("MM_EDGE_SOAK_MINUTES", "10")


@pytest.fixture(scope="session")
def report():
    """Measured once, and kept beside the other results."""
    lacks = {name: list(missing(name)) for name in ON_A_GPU}
    if all(lacks.values()):
        pytest.skip("; ".join(sorted({why[0] for why in lacks.values()})))
    path = RESULTS / "gpu.json"
    command = [sys.executable, "-m", "mm_edge.benchmarks.gpu", "--soak", SOAK_MINUTES, "--sanitize"]
    subprocess.run([*command, "--json", str(path), "--trace", str(RESULTS / "gpu-trace.json")], check=True)
    return msgspec.json.decode(path.read_bytes(), type=GpuReport)


def rows(report):
    return [row for row in report.rows if row.state != "not here"]


def test_every_engine_that_loads_passes_the_golden_check(report):
    assert rows(report)
    assert {row.engine: row.why for row in rows(report) if row.state == "failed"} == {}


def test_the_pipeline_adds_little_to_device_and_preparation(report):
    for row in rows(report):
        best = min(row.timed, key=lambda timed: timed.p50_ratio)
        assert best.p50_ratio <= MOST_P50_RATIO, row.engine
        assert max(timed.rate_ratio for timed in row.timed) >= LEAST_RATE_RATIO, row.engine


def test_a_tick_costs_the_host_little(report):
    for row in rows(report):
        assert min(timed.host_ms_a_tick for timed in row.timed if timed.graphs) < MOST_HOST_MS, row.engine


def test_two_moments_in_flight_are_faster_than_one(report):
    for row in rows(report):
        by_depth = {timed.depth: timed.per_s for timed in row.timed if timed.graphs}
        assert by_depth[2] >= by_depth[1], row.engine


def test_memory_stays_flat(report):
    for row in rows(report):
        assert row.soak["host_grown_mb"] < 2
        assert row.soak["device_grown_mb"] < 2


def test_the_sanitizer_finds_nothing(report):
    for row in rows(report):
        assert not any(told.startswith("failed") for told in row.sanitized.values()), row.sanitized
