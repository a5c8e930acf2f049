"""mm-edge run as a user runs it: a process, its output, its exit code, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
from bundles import senses_bundle
from trace_format import breaches

SOON_S = 60  # a hang; these machines are slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    """Two seconds: pictures that grow brighter, a tone in the second half, a text that changes at one second."""
    folder = tmp_path_factory.mktemp("take")
    writer = cv2.VideoWriter(str(folder / "camera.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (64, 48))
    for level in np.linspace(40, 200, 30):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    tone = np.concatenate([np.zeros(16_000), np.full(16_000, 0.5)])
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    (folder / "text.jsonl").write_text('{"t_ms":0,"text":"stop"}\n{"t_ms":1000,"text":"go"}\n')
    return folder


def mm_edge(*words, **more):
    command = [sys.executable, "-m", "mm_edge.cli", "run", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SOON_S, check=False, **more)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_take_is_played_without_loss_and_told_line_by_line(bundle, take):
    done = mm_edge(bundle, "--take", take, "--speed", "max", "--jsonl", "-", "--quiet")
    assert done.returncode == 0, done.stderr
    told = lines(done.stdout)
    predictions = [line for line in told if line["kind"] == "prediction"]
    summary = told[-1]
    assert summary["kind"] == "summary"
    assert [line["seq"] for line in predictions] == list(range(30))
    assert summary["predictions"] == summary["captured"]["image"] == 30
    assert sum(summary["dropped"]["image"].values()) == 0
    reds = [line["outputs"]["seen"]["red"] * 255 for line in predictions]
    assert reds == pytest.approx(list(np.linspace(40, 200, 30)), abs=6)
    words = [round(line["outputs"]["seen"]["words"] * 8) for line in predictions]
    assert words == [9] * 15 + [10] * 15
    assert predictions[-1]["outputs"]["seen"]["loudness"] > 0.3 > predictions[10]["outputs"]["seen"]["loudness"]
    assert set(predictions[0]) == {
        *("kind", "seq", "t_ns", "outputs", "inputs", "latency_ms", "deadline_missed", "health"),
    }
    assert set(predictions[0]["inputs"]["image"]) == {"seq", "age_ms", "state"}
    assert {"total", "prepare.image", "encode.image", "fuse"} <= set(predictions[0]["latency_ms"])
    assert {"seconds", "latency_ms", "age_ms", "deadline_missed", "cpu_seconds", "rss_mb", "engine"} <= set(summary)


def test_the_same_take_gives_the_same_predictions(bundle, take):
    def play():
        done = mm_edge(bundle, "--take", take, "--speed", "max", "--jsonl", "-", "--quiet")
        told = [line for line in lines(done.stdout) if line["kind"] == "prediction"]
        return [
            (line["outputs"], {name: (age["seq"], age["state"]) for name, age in line["inputs"].items()})
            for line in told
        ]

    assert play() == play()


def test_a_file_is_played_at_its_own_pace(bundle, take):
    done = mm_edge(bundle, "--take", take, "--jsonl", "-", "--quiet")
    assert lines(done.stdout)[-1]["seconds"] >= 1.9


def test_it_ends_after_the_time_that_was_given(bundle):
    done = mm_edge(
        bundle, "--camera", "synthetic", "--mic", "synthetic", "--text", "go", "--seconds", "1", "--jsonl", "-", "-q"
    )
    assert done.returncode == 0
    summary = lines(done.stdout)[-1]
    assert summary["captured"]["image"] == summary["predictions"] + sum(summary["dropped"]["image"].values())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere.mmb", "--camera", "synthetic"], 2, "opening the bundle nowhere.mmb: No such file"),
        (["BUNDLE"], 2, "nothing feeds the bundle"),
        (["BUNDLE", "--camera", "sideways"], 2, "'sideways' is not a valid image source"),
        (["BUNDLE", "--camera", "synthetic", "--set", "loop.depht=1"], 2, "loop"),
        (["BUNDLE", "--camera", "synthetic", "--precision", "fp12"], 2, "engine.precision"),
        (["BUNDLE", "--camera", "synthetic", "--view", "page"], 2, "--view page"),
        (["BUNDLE", "--camera", "synthetic", "--jsonl", "/nowhere/at/all.jsonl"], 2, "/nowhere/at/all.jsonl"),
        (["BUNDLE", "--camera", "/dev/video77"], 3, "/dev/video77"),
        (["BUNDLE", "--camera", "synthetic", "--engine", "tensorflow"], 3, "no such engine"),
        (
            ["BUNDLE", "--camera", "synthetic", "--engine", "onnxruntime:CUDAExecutionProvider"],
            3,
            "CUDAExecutionProvider",
        ),
        (["BUNDLE", "--camera", "synthetic", "--precision", "int8"], 3, "contains fp32"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_message(bundle, words, code, message, tmp_path):
    words = [str(bundle) if word == "BUNDLE" else word for word in words]
    began = time.monotonic()
    done = mm_edge(*words, "--seconds", "20", "-q", cwd=tmp_path)
    assert time.monotonic() - began < 20, "it ran although it cannot do what was requested"
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (code, 1), done.stderr
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_with_a_summary(bundle, number, tmp_path):
    out = tmp_path / "run.jsonl"
    with start(bundle, "--camera", "synthetic", "--mic", "synthetic", "--jsonl", out, "-q") as process:
        until(lambda: out.exists() and out.read_text().count("prediction") > 3)
        began = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=SOON_S)
        assert process.returncode == 130
        assert time.monotonic() - began < 1.0 + 3 * grace_s()
    assert lines(out.read_text())[-1]["kind"] == "summary"


def test_a_full_disk_ends_the_file_and_not_the_run(bundle):
    process = start(bundle, "--camera", "synthetic", "--jsonl", "/dev/full", "--seconds", "1.5", "-q")
    _, errors = process.communicate(timeout=SOON_S)
    assert process.returncode == 1
    assert "No space left" in errors
    assert "Traceback" not in errors


def test_a_reader_that_has_gone_is_no_fault(bundle):
    command = [sys.executable, "-m", "mm_edge.cli", "run", str(bundle), "--camera", "synthetic", "--jsonl", "-", "-q"]
    process = subprocess.Popen([*command, "--seconds", "3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(SOON_S) in {0, 1}
    assert "Traceback" not in errors


def test_lines_of_standard_input_are_the_text(bundle, tmp_path):
    out = tmp_path / "run.jsonl"
    process = start(bundle, "--mic", "synthetic", "--text", "-", "--jsonl", out, "-q", stdin=subprocess.PIPE)

    def words():
        found = [line["outputs"]["seen"]["words"] * 8 for line in whole(out) if line["kind"] == "prediction"]
        return round(found[-1]) if found else None

    until(lambda: words() is not None)
    process.stdin.write("stop\n")
    process.stdin.flush()
    until(lambda: words() == 9)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SOON_S)


def test_the_trace_is_one_that_perfetto_reads(bundle, take, tmp_path):
    trace = tmp_path / "trace.json"
    done = mm_edge(bundle, "--take", take, "--speed", "max", "--trace", trace, "-q")
    assert done.returncode == 0, done.stderr
    document = json.loads(trace.read_text())
    assert breaches(document) == []
    events = document["traceEvents"]
    stages = [event["name"] for event in events if event["ph"] == "X"]
    assert stages.count("fuse") == 30
    assert {"prepare.image", "encode.image", "decode"} <= set(stages)


def whole(path):
    """The complete lines that a run has written so far."""
    text = path.read_text() if path.exists() else ""
    return lines(text[: text.rfind("\n") + 1])


def start(*words, stdin=None):
    command = [sys.executable, "-m", "mm_edge.cli", "run", *map(str, words)]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition):
    stop = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < stop, "it did not happen"
        time.sleep(0.02)


def grace_s():
    """What a busy machine may take on top: the time that it needs to start a Python that does nothing."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True, env={**os.environ, "PYTHONPATH": ""}, cwd=Path("/"))
    return time.monotonic() - began
