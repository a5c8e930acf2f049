"""mm-edge run with several cameras: the lines, the summary and the table name them; one camera changes nothing."""

import json
import subprocess
import sys

import pytest
from bundles import senses_bundle
from videos import write_video

SOON_S = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


def mm_edge(*words):
    command = [sys.executable, "-m", "mm_edge.cli", "run", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SOON_S, check=False)


def lines(text, kind):
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def test_the_lines_name_the_camera_and_the_summary_counts_each(bundle, tmp_path):
    files = {name: write_video(tmp_path / f"{name}.mp4", count=count) for name, count in (("door", 30), ("yard", 12))}
    words = [word for name, file in files.items() for word in ("--camera", f"{name}={file}")]
    done = mm_edge(bundle, *words, "--mic", "synthetic", "--text", "stop", "--speed", "max", "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    predictions = lines(done.stdout, "prediction")
    for name, count in (("door", 30), ("yard", 12)):
        assert [line["seq"] for line in predictions if line["camera"] == name] == list(range(count))
    events = lines(done.stdout, "event")
    assert {event["camera"] for event in events if event["source"] in files} == set(files)
    assert all("camera" not in event for event in events if event["source"] not in files)
    for name in files:
        states = [event["state"] for event in events if event["source"] == name]
        assert states == ["live", "ended"]
    (summary,) = lines(done.stdout, "summary")
    assert {name: figures["predictions"] for name, figures in summary["cameras"].items()} == {"door": 30, "yard": 12}
    for figures in summary["cameras"].values():
        assert figures["captured"]["image"] == figures["predictions"] + sum(figures["dropped"]["image"].values())
    assert {"door", "yard"} <= set(summary["sources"])
    assert "door" in done.stderr
    assert "yard" in done.stderr


def test_one_camera_has_the_keys_it_always_had(bundle):
    done = mm_edge(bundle, "--camera", "synthetic", "--seconds", "1", "--jsonl", "-", "--quiet")
    assert done.returncode == 0, done.stderr
    prediction, event, summary = (lines(done.stdout, kind)[-1] for kind in ("prediction", "event", "summary"))
    assert list(prediction) == [
        "kind", "seq", "t_ns", "outputs", "inputs", "latency_ms", "deadline_missed", "health",
    ]  # fmt: skip
    assert list(event) == ["kind", "t_ns", "source", "state", "detail"]
    assert event["source"] == "camera"
    assert "cameras" not in summary


def test_the_same_camera_twice_is_refused_in_one_message(bundle):
    done = mm_edge(bundle, "--camera", "0", "--camera", "0")
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "running several cameras on one model: '0' is given 2 times" in done.stderr
