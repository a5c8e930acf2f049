"""What a GPU is measured with, run over the test driver: its figures are those of a test, the way to them is real."""

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bundles import senses_bundle
from host_double import host_double

import mm_edge.benchmarks.studies.gpu.gpu as bench
from mm_edge.benchmarks.bench.machine import Watch, machine
from mm_edge.benchmarks.studies.gpu.gpu_report import (
    GpuReport,
    Row,
    Timed,
    failures,
    faults_found,
    leaks,
    slow_hosts,
    slow_pipelines,
    waits,
)
from mm_edge.bundle.bundle import Bundle

TESTS = Path(__file__).parents[4]
# In every process of the run: an engine of the tests takes the place of those that need a GPU.
STAND_IN = """
import os, sys
sys.path.insert(0, os.environ["MM_EDGE_FAKES"])
from mm_edge.runtime.engines import available
from mm_edge.runtime.engines.selection import choose
available.ON_A_GPU = ("double", "absent")
available.missing = lambda name: iter(()) if name == "double" else iter(("it is not here",))

def open_engine(config, *_):
    from host_double import host_double
    from mm_edge.runtime.engines.cuda.device import open_device
    return host_double(open_device(), use_graphs=config.options.get("graphs", True))

choose.open_engine = open_engine
"""
SANITIZER = """#!/bin/sh
test "$1 $3 $4" = "--tool --error-exitcode 9" || exit 3
tool=$2; shift 4
"$@" && echo "========= ERROR SUMMARY: 0 errors by $tool"
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True, layers=2)) as opened:
        yield opened


@pytest.mark.parametrize("graphs", [True, False])
def test_a_way_of_running_is_timed(driver, device, bundle, graphs, monkeypatch):
    monkeypatch.setattr(bench, "open_engine", lambda c, *_: host_double(device, use_graphs=c.options["graphs"]))
    shown = bench.timed(bundle, "double", 0.5, graphs=graphs, depth=2)
    assert set(shown.device_ms) == {"encode_image", "encode_text", "fuse"}
    assert 0 < shown.device_ms["fuse"] < shown.device_ms["encode_image"]
    assert 0 < shown.host_ms_a_tick < shown.p50_ms
    assert shown.rate_ratio > 0
    assert shown.copies_a_tick > 1  # the picture's way in, and the result's way home
    assert shown.waiting_copies == 0
    assert shown.captured is graphs
    assert set(shown.graph_states.values()) == {"captured" if graphs else "not requested"}


def test_a_copy_that_waits_is_counted(driver, device):
    from pycuda import driver as cuda

    real = cuda.memcpy_htod
    with device.current(), bench.waiting_copies() as counted:
        memory = cuda.mem_alloc(16)
        cuda.memcpy_htod(memory, bytes(16))
        memory.free()
    assert counted == {"memcpy_htod": 1}
    assert cuda.memcpy_htod is real


def test_what_a_camera_sets_off(bundle):
    assert bench.on_the_way(bundle, "input:image") == ["encode_image", "fuse"]
    assert bench.on_the_way(bundle, "input:text") == ["encode_text", "fuse"]


@pytest.mark.timeout(400)
def test_the_tests_for_a_gpu_run_to_their_end(tmp_path):
    """As `make test-gpu` starts them. Figures may break their promises here; nothing else may go wrong."""
    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    sanitizer = tmp_path / "compute-sanitizer"
    sanitizer.write_text(SANITIZER)
    sanitizer.chmod(0o755)
    results = tmp_path / "results"
    results.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]),
        "PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]]),
        "MM_EDGE_FAKES": str(TESTS / "fakes"),
        "MM_EDGE_GPU_RESULTS": str(results),
        "MM_EDGE_GPU_SECONDS": "0.3",
        "MM_EDGE_GPU_LAYERS": "0",
        "MM_EDGE_SOAK_MINUTES": "0.005",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", TESTS / "e2e/test_gpu.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    told = done.stdout + done.stderr
    assert done.returncode in {0, 1}, told
    assert " error" not in done.stdout.splitlines()[-1], told
    assert set(re.findall(r"^E   +(\w+Error)\b", done.stdout, re.MULTILINE)) <= {"AssertionError"}, told
    broken = set(re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE))
    assert broken <= {
        "test_a_tick_costs_the_host_little",
        "test_the_pipeline_adds_little_to_device_and_preparation_and_gains_by_overlap",
        "test_memory_stays_flat",
    }, told
    report = msgspec.json.decode((results / "gpu.json").read_bytes(), type=GpuReport)
    ran, absent = report.rows
    assert (ran.engine, ran.state, absent.state) == ("double", "passed", "not available")
    assert report.device.startswith("Test GPU (host memory)")
    assert report.machine.cpu
    assert len(ran.timed) == 3
    assert ran.sanitized == {tool: f"========= ERROR SUMMARY: 0 errors by {tool}" for tool in ("memcheck", "racecheck")}
    assert ran.soak["predictions"] > 0
    assert (results / "gpu-trace.double.json").stat().st_size > 1000
    assert (results / "gpu-heavy.json").exists()


@pytest.mark.parametrize(
    ("driver", "code", "shown"),
    [("libcuda.so.1", 1, ".venv/bin/pip install pycuda"), ("libnothing.so.1", 0, "6 skipped")],
    ids=["a GPU", "no GPU"],
)
def test_where_no_engine_can_be_tried_the_tests_for_a_gpu_are_skipped_only_without_one(tmp_path, driver, code, shown):
    (tmp_path / "sitecustomize.py").write_text(
        "from mm_edge.runtime.engines import available\n"
        f"available.DRIVER = {driver!r}\n"
        "available.missing = lambda name: iter((\"the package 'pycuda' is not installed\",))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", TESTS / "e2e/test_gpu.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert shown in done.stdout


def report(**changed):
    """One that keeps every promise, but for what is changed in its pipelined run or its row."""
    good = {"graphs": True, "device_ms": {}, "host_ms_a_tick": 0.1, "prepare_ms": 1.0, "p50_ms": 2.0, "per_s": 200.0}
    good |= {"depth": 2, "p50_ratio": 1.1, "rate_ratio": 0.95, "graph_states": {"fuse": "captured"}}
    good |= {"copies_a_tick": 3.0, "waiting_copies": 0}
    of_row = {"soak": {"minutes": 10.0, "host_grown_mb": 0.5, "device_grown_mb": 0.0}, "sanitized": {"memcheck": "0"}}
    of_row |= {key: changed.pop(key) for key in ("soak", "sanitized", "state", "why") if key in changed}
    timed = (Timed(**{**good, **changed}), Timed(**{**good, "depth": 1, "per_s": 150.0}))
    row = Row("double", **{"state": "passed", "timed": timed, **of_row})
    return GpuReport(
        "now", "senses 1", "Test GPU", machine(Watch().conditions()), (row, Row("absent", "not available", "no"))
    )


LOOKS = (failures, slow_hosts, waits, slow_pipelines, leaks, faults_found)


def test_a_report_that_keeps_its_promises_breaks_none():
    assert [look(report()) for look in LOOKS] == [[]] * len(LOOKS)


@pytest.mark.parametrize(
    ("look", "changed", "shown"),
    [
        (failures, {"state": "failed", "why": "no room"}, "double: no room"),
        (failures, {"state": "not available", "why": "no driver"}, "double is not available: no driver"),
        (slow_hosts, {"graph_states": {"fuse": "none: it waits"}}, "graphs {'fuse': 'none: it waits'}"),
        (waits, {"waiting_copies": 2}, "2 copies blocked the host, limit 0"),
        (waits, {"copies_a_tick": 0.0}, "the trace contains no copy"),
        (slow_pipelines, {"p50_ratio": 1.2}, "p50 is 1.20 x device time and preparation, limit 1.15"),
        (slow_pipelines, {"rate_ratio": 0.8}, "0.80 x the rate of the slowest stage, minimum 0.9"),
        (slow_pipelines, {"per_s": 100.0}, "two moments in flight are slower than one, which gives 150 per second"),
        (leaks, {"soak": {"minutes": 10.0, "host_grown_mb": 3.0, "device_grown_mb": 0.0}}, "host_grown_mb is 3.0"),
        (leaks, {"soak": {"minutes": 10.0, "host_grown_mb": 0.0, "device_grown_mb": 2.5}}, "device_grown_mb is 2.5"),
        (faults_found, {"sanitized": {"racecheck": "failed (9): 2 errors"}}, "racecheck failed (9): 2 errors"),
    ],
)
def test_a_broken_promise_is_named(look, changed, shown):
    told = look(report(**changed))
    assert any(shown in line for line in told), told


def test_a_host_that_takes_too_long_with_every_graph_is_named():
    slow = msgspec.structs.replace(report().rows[0], timed=report(host_ms_a_tick=0.4).rows[0].timed[:1])
    told = slow_hosts(msgspec.structs.replace(report(), rows=(slow,)))
    assert told == ["double: host time per tick 0.400 ms, limit 0.3 ms"]


def test_an_engine_whose_process_dies_costs_no_other(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "missing", lambda _: iter(()))
    monkeypatch.setattr(bench, "_myself", lambda *_: [sys.executable, "-c", "import os; print('fatal'); os.abort()"])
    given = bench.argparse.Namespace(bundle=tmp_path, seconds=1, soak=0, trace=None, sanitize=False)
    row = bench.row_apart("double", given)
    assert (row.state, row.why) == ("failed", "the process ended with exit code -6: fatal")
