"""The trace file, read back as a viewer reads it, and held to the rules of the Chrome trace event format."""

import json
from pathlib import Path

import pytest
from bundles import senses_bundle
from sources import Script, pictures
from trace_format import breaches

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.trace import Trace

US = 1000


def written(path):
    document = json.loads(path.read_text())
    return document, {phase: [e for e in document["traceEvents"] if e["ph"] == phase] for phase in "MXistf"}


def test_lanes_are_tracks_and_stages_are_slices_on_them(tmp_path):
    trace = Trace(tmp_path / "out.json")
    trace.span("lane-1", "encode.image", 2_000 * US, 9_500 * US, moment_seq=7)
    trace.span("lane-0", "prepare.image", 1_000 * US, 1_400 * US, moment_seq=7)
    trace.instant("camera", "capture", 900 * US)
    trace.instant("camera", "lost", 20_000 * US, "nothing for 300 ms")
    trace.close()
    document, events = written(tmp_path / "out.json")
    tracks = {e["tid"]: e["args"]["name"] for e in events["M"] if e["name"] == "thread_name"}
    assert sorted(tracks.values()) == ["camera", "lane-0", "lane-1"]
    slices = [(tracks[e["tid"]], e["name"], e["ts"], e["dur"], e["args"]["moment"]) for e in events["X"]]
    assert slices == [("lane-0", "prepare.image", 1000, 400, 7), ("lane-1", "encode.image", 2000, 7500, 7)]
    assert [(tracks[e["tid"]], e["name"], e.get("args")) for e in events["i"]] == [
        ("camera", "capture", None),
        ("camera", "lost", {"detail": "nothing for 300 ms"}),
    ]
    assert document["otherData"]["not_kept"] == 0


def test_arrows_lead_through_the_slices_of_a_moment_and_bind_to_them(tmp_path):
    trace = Trace(tmp_path / "out.json")
    for moment in (0, 1):
        for stage in range(3):
            start = (moment * 10 + stage) * US
            trace.span(f"lane-{stage % 2}", f"stage-{stage}", start, start + US, moment)
    trace.span("lane-0", "alone", 99 * US, 100 * US, 2)
    trace.close()
    _, events = written(tmp_path / "out.json")
    slices = {(e["tid"], e["ts"]) for e in events["X"]}
    for moment in (0, 1):
        chain = [(e["ph"], e["ts"]) for phase in "stf" for e in events[phase] if e["id"] == moment]
        assert chain == [("s", moment * 10), ("t", moment * 10 + 1), ("f", moment * 10 + 2)]
    arrows = [e for phase in "stf" for e in events[phase]]
    assert all((e["tid"], e["ts"]) in slices for e in arrows)
    assert all(e["bp"] == "e" for e in events["f"])
    assert {e["id"] for e in arrows} == {0, 1}


def test_memory_is_bounded_and_the_file_says_what_is_not_in_it(tmp_path):
    trace = Trace(tmp_path / "out.json", most_events=10)
    for n in range(25):
        trace.span("lane", "stage", n * US, (n + 1) * US, n)
    trace.close()
    trace.close()
    document, events = written(tmp_path / "out.json")
    assert [e["ts"] for e in events["X"]] == list(range(15, 25))
    assert document["otherData"]["not_kept"] == 15


def test_a_path_that_cannot_be_written_is_told_before_the_run(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere/out\.json: No such file or directory"):
        Trace(tmp_path / "nowhere" / "out.json")


def test_a_run_writes_a_trace_that_keeps_to_the_format(tmp_path):
    trace = Trace(tmp_path / "out.json")
    with Bundle.open(senses_bundle(tmp_path / "senses.mmb")) as bundle:
        session = Run(bundle, RunConfig(), [Script("image", pictures(30))], [], trace=trace)
        with session:
            assert session.wait(20)
    trace.close()
    document, events = written(tmp_path / "out.json")
    assert breaches(document) == []
    assert len(events["s"]) == len(events["f"]) == 30
    assert sum(event["name"] == "decode" for event in events["X"]) == 30


@pytest.mark.parametrize(
    "spoil",
    [
        {"ph": "E", "pid": 1, "tid": 1, "name": "decode", "ts": 1e12},
        {"ph": "X", "pid": 1, "tid": 77, "name": "decode", "ts": 1e12, "dur": 1.0},
        {"ph": "X", "pid": 1, "tid": 1, "name": "decode", "ts": 1e12, "dur": -1.0},
        {"ph": "X", "pid": 1, "tid": 1, "name": "decode", "ts": 1500.0, "dur": 1.0},
        {"ph": "X", "pid": 1, "tid": 1, "name": "decode", "ts": 2500.0, "dur": 9000.0},
        {"ph": "i", "s": "x", "pid": 1, "tid": 1, "name": "lost", "ts": 1e12},
        {"ph": "t", "pid": 1, "tid": 1, "name": "moment", "cat": "moment", "id": 0, "ts": 2500.0},
        {"ph": "s", "pid": 1, "tid": 1, "name": "moment", "cat": "moment", "id": 9, "ts": 2500.0},
    ],
    ids=["left open", "no name", "negative", "back in time", "overlap", "scope", "no end", "no arrowhead"],
)
def test_what_breaks_the_format_is_found(tmp_path, spoil):
    trace = Trace(tmp_path / "out.json")
    for start in (2_000, 3_000, 5_000):
        trace.span("lane-0", "decode", start * US, (start + 900) * US, moment_seq=0)
    trace.close()
    document, _ = written(tmp_path / "out.json")
    assert breaches(document) == []
    document["traceEvents"].append(spoil)
    assert breaches(document)


def test_the_file_is_written_beside_its_place_and_put_there_at_the_end(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("the last trace")
    trace = Trace(path)
    trace.span("lane", "stage", 0, US, 0)
    assert path.read_text() == "the last trace"
    assert list(tmp_path.iterdir()) == [path]
    trace.close()
    assert breaches(json.loads(path.read_text())) == []
    assert list(tmp_path.iterdir()) == [path]


def test_a_trace_that_fails_half_way_leaves_the_last_one(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    path.write_text("the last trace")
    trace = Trace(path)

    def full(_self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trace, "_events", full)
    with pytest.raises(WorkFailedError, match="No space left on device"):
        trace.close()
    assert path.read_text() == "the last trace"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["/dev/null", "."])
def test_a_trace_replaces_no_device_and_no_folder(place):
    with pytest.raises(UsageError, match="it is not a file"):
        Trace(Path(place))
