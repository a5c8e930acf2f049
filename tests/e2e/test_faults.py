"""What fails at the far end of a run: a reader that stops, a full disk, an engine that raises. Each is told within a
second, the rest goes on or ends with the right code, and Ctrl-C ends it within a second.

What fails at its near end, with real drivers and a real server: tests/devices/test_camera_faults.py,
test_microphone_faults.py and test_rtsp.py.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bundles import senses_bundle

SOON_S = 60  # a hang; these machines are slow
TOLD_WITHIN_S = ENDED_WITHIN_S = 1.0
SMALL_PIPE_BYTES = 4096
SOURCES = ("--camera", "synthetic", "--mic", "synthetic", "--text", "go", "-q")
FAULTY_ENGINE = """
import sys
from mm_edge.cli.app import run
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeSlot

works, ticks = OnnxRuntimeSlot.run, 0

def run_or_fail(slot, inputs):
    global ticks
    if slot._names[0] == "colour":
        ticks += 1
        if FAILS:
            raise RuntimeError("the device is gone")
    works(slot, inputs)

OnnxRuntimeSlot.run = run_or_fail
sys.exit(run(["run", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


@pytest.fixture
def witness(tmp_path):
    """A second sink, which nothing is wrong with."""
    return tmp_path / "witness.jsonl"


def start(bundle, witness, *words, fails="False", stdout=subprocess.DEVNULL):
    """`fails`: when the fusion does, in numbers of its ticks."""
    command = [
        sys.executable,
        "-c",
        FAULTY_ENGINE.replace("FAILS", fails),
        bundle,
        *SOURCES,
        "--sink",
        f"jsonl:{witness}",
    ]
    return subprocess.Popen([*command, *words], stdout=stdout, stderr=subprocess.PIPE, text=True)


def told(witness, kind):
    lines = witness.read_text().splitlines() if witness.exists() else []
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


def event(witness, source, state):
    """Waits until it is told."""
    found = []

    def look():
        found.extend(line for line in told(witness, "event") if (line["source"], line["state"]) == (source, state))
        return found

    until(look)
    return found[0]


def until(condition):
    stop = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < stop, "it did not happen"
        time.sleep(0.02)


def goes_on(witness):
    before = len(told(witness, "prediction"))
    until(lambda: len(told(witness, "prediction")) > before + 3)


def handed_over_ns(prediction):
    return prediction["t_ns"] + prediction["latency_ms"]["total"] * 1e6


def ends_by_ctrl_c(process, witness):
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(SOON_S) == 130
    assert time.monotonic() - began < ENDED_WITHIN_S + 3 * grace_s()
    assert len(told(witness, "summary")) == 1


def grace_s():
    """What a busy machine may take on top: the time that it needs to start a Python that does nothing."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True, env={**os.environ, "PYTHONPATH": ""}, cwd=Path("/"))
    return time.monotonic() - began


def test_a_reader_that_stops_reading_is_told_and_holds_up_nobody(bundle, witness):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE_BYTES)
    with start(bundle, witness, "--jsonl", "-", stdout=writing) as process:
        os.close(writing)
        stalled = event(witness, "sink.jsonl", "stalled")
        goes_on(witness)
        ends_by_ctrl_c(process, witness)
    with os.fdopen(reading, "rb") as pipe:
        whole, _, _ = pipe.read().rpartition(b"\n")
    taken = whole.count(b'"kind":"prediction"')
    blocked_ns = handed_over_ns(told(witness, "prediction")[taken])
    assert stalled["t_ns"] - blocked_ns < (TOLD_WITHIN_S + 3 * grace_s()) * 1e9


def test_a_full_disk_is_told_at_once_and_the_run_goes_on(bundle, witness):
    with start(bundle, witness, "--jsonl", "/dev/full") as process:
        failed = event(witness, "sink.jsonl", "failed")
        assert "No space left" in failed["detail"]
        goes_on(witness)
        first = min(line["t_ns"] for kind in ("event", "prediction") for line in told(witness, kind))
        assert failed["t_ns"] - first < (TOLD_WITHIN_S + 3 * grace_s()) * 1e9
        ends_by_ctrl_c(process, witness)


def test_an_engine_that_fails_now_and_then_is_told_and_the_run_goes_on(bundle, witness):
    with start(bundle, witness, fails="ticks % 10 == 0") as process:
        failed = event(witness, "engine", "failed")
        assert "the device is gone" in failed["detail"]
        goes_on(witness)
        before = [line for line in told(witness, "prediction") if line["t_ns"] < failed["t_ns"]]
        assert failed["t_ns"] - before[-1]["t_ns"] < (TOLD_WITHIN_S + 3 * grace_s()) * 1e9
        ends_by_ctrl_c(process, witness)
    summary = told(witness, "summary")[0]
    assert summary["dropped"]["image"]["failed"] >= 1
    assert summary["captured"]["image"] == summary["predictions"] + sum(summary["dropped"]["image"].values())


def test_an_engine_that_keeps_failing_ends_the_run_with_code_1(bundle, witness):
    with start(bundle, witness, fails="ticks > 20") as process:
        _, errors = process.communicate(timeout=SOON_S)
    assert process.returncode == 1
    assert "the device is gone" in errors
    assert "Traceback" not in errors
    last = told(witness, "prediction")[-1]
    failed = event(witness, "engine", "failed")
    assert failed["t_ns"] - handed_over_ns(last) < (TOLD_WITHIN_S + 3 * grace_s()) * 1e9
    assert len(told(witness, "summary")) == 1
