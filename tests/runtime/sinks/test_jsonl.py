"""The JSON lines of a run, also on a full disk."""

import errno
import json
import os
import resource
import subprocess
import sys

import pytest

from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.runtime.sinks.jsonl import JsonlSink
from mm_edge.runtime.sinks.null import NullSink
from mm_edge.sample import Event


def test_every_kind_of_line_has_the_keys_of_the_contract(tmp_path, run, predict, summary):
    sink = JsonlSink(str(tmp_path / "out.jsonl"))
    sink.open(run)
    sink.take(predict(41))
    sink.take(Event(5, "camera", "lost", "nothing for 300 ms"))
    sink.take(summary)
    sink.close()
    prediction, event, closing = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert prediction == {
        "kind": "prediction",
        "seq": 41,
        "t_ns": 41_000_000,
        "outputs": {"sign": {"label": "stop", "score": 0.97, "scores": {"stop": 0.97, "go": 0.03}}},
        "inputs": {
            "image": {"seq": 41, "age_ms": 9.2, "state": "fresh"},
            "audio": {"seq": 13, "age_ms": 31.046, "state": "held"},
        },
        "latency_ms": {"prepare.image": 0.4, "encode.image": 7.9, "fuse": 1.1, "total": 12.9},
        "deadline_missed": False,
        "health": "ok",
    }
    assert event == {"kind": "event", "t_ns": 5, "source": "camera", "state": "lost", "detail": "nothing for 300 ms"}
    known = (
        *("kind", "seconds", "predictions", "captured", "dropped", "latency_ms", "age_ms"),
        *("deadline_missed", "cpu_seconds", "rss_mb", "engine", "sources", "sinks"),
    )
    assert tuple(closing) == known
    assert closing["dropped"] == {"image": {"overrun": 3, "stale": 0}}


def test_a_missing_input_is_null(tmp_path, run, predict):
    sink = JsonlSink(str(tmp_path / "out.jsonl"))
    sink.open(run)
    sink.take(predict(audio=False))
    line = json.loads((tmp_path / "out.jsonl").read_text())
    assert line["inputs"]["audio"] == {"seq": None, "age_ms": None, "state": "missing"}


def test_a_line_is_there_as_soon_as_it_is_taken(tmp_path, run, predict):
    sink = JsonlSink(str(tmp_path / "out.jsonl"))
    sink.open(run)
    for seq in range(3):
        sink.take(predict(seq))
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == seq + 1


def test_standard_output_stays_open_after_the_sink(run, predict, capfd):
    sys.stdout.write("before\n")
    sink = JsonlSink("-")
    sink.open(run)
    sink.take(predict())
    sink.close()
    sys.stdout.write("after\n")
    sys.stdout.flush()
    before, line, after = capfd.readouterr().out.splitlines()
    assert (before, after) == ("before", "after")
    assert json.loads(line)["kind"] == "prediction"


def test_an_unwritable_path_is_reported_at_once(tmp_path, run):
    with pytest.raises(UsageError, match="No such file or directory"):
        JsonlSink(str(tmp_path / "nowhere" / "out.jsonl")).open(run)


FULL_DISK = """
import resource, signal, sys
from mm_edge.runtime.sink import ItemLostError
from mm_edge.runtime.sinks.jsonl import JsonlSink
from mm_edge.sample import Event
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
sink = JsonlSink(sys.argv[1])
sink.open(None)
for n in range(40):
    if n == 30:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        sink.take(Event(n, "camera", "live", "x" * 40))
    except ItemLostError as error:
        print(n, error)
sink.close()
"""


def test_a_full_disk_loses_lines_and_never_half_of_one_and_writing_resumes(tmp_path):
    # The kernel's limit on the size of a file cuts a write short in the middle of a line, as a full disk does.
    path = tmp_path / "out.jsonl"
    messages = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    lost = [int(message.split()[0]) for message in messages]
    assert lost[-1] == 29
    assert "File too large; lines are being lost. Free disk space" in messages[0]
    content = path.read_bytes()
    assert content.endswith(b"}\n")
    written = [json.loads(line)["t_ns"] for line in content.splitlines()]
    assert len(written) > 15
    assert sorted(written + lost) == list(range(40))


def test_a_reader_that_leaves_ends_it_once(run, predict, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(os, "dup", lambda _file: writer)
    sink = JsonlSink("-")
    sink.open(run)
    with pytest.raises(WorkFailedError, match=os.strerror(errno.EPIPE)):
        sink.take(predict())
    sink.take(predict())


def test_nothing_is_everything_that_null_does(run, predict, summary):
    sink = NullSink()
    sink.open(run)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_oublock
    for item in (predict(), summary):
        sink.take(item)
    sink.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_oublock == before
