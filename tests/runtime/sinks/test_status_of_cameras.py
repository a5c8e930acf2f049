"""The status of a run with several cameras: a row, a rate, losses and outputs for each; sums of distributions."""

import msgspec
import numpy as np
import pytest
from rich.console import Console

from mm_edge.runtime.clock import NS_PER_MS, ManualClock
from mm_edge.runtime.histogram import Distribution
from mm_edge.runtime.sink import CameraFigures, Counts, RunInfo
from mm_edge.runtime.sinks.telemetry.board import board, line
from mm_edge.runtime.sinks.telemetry.lines import as_json
from mm_edge.runtime.sinks.telemetry.status import Tally
from mm_edge.sample import Event


@pytest.fixture
def run_of_two(run):
    def counts():
        each = {"door": Counts({"image": 30}, {"image": {"overrun": 2}}), "yard": Counts({"image": 10}, {"image": {}})}
        return Counts({"image": 40, "audio": 12}, {"image": {"overrun": 2}}, each)

    return RunInfo(
        run.manifest,
        {"image": "2 cameras", "audio": "default"},
        run.engine,
        {"audio": "mic"},
        counts,
        {"door": "/dev/video0", "yard": "rtsp://h"},
        "image",
    )


@pytest.fixture
def view(run_of_two, predict):
    clock = ManualClock()
    tally = Tally(clock)
    tally.open(run_of_two)
    for k in range(30):
        tally.take(predict(k, camera="door"))
        if k % 3 == 0:
            go = {"sign": {"label": "go", "score": 0.9, "scores": {"stop": 0.1, "go": 0.9}}}
            tally.take(predict(k // 3, camera="yard", outputs=go))
        clock.advance(100 * NS_PER_MS)
    return tally.view()


def test_each_camera_is_a_row_in_place_of_the_input(view):
    assert list(view.inputs) == ["door", "yard", "audio"]
    door, yard = view.inputs["door"], view.inputs["yard"]
    assert (door.seq, yard.seq) == (29, 9)
    assert (door.source, yard.source) == ("/dev/video0", "rtsp://h")
    assert (door.captured, yard.captured) == (30, 10)
    assert (door.dropped, yard.dropped) == ({"overrun": 2}, {})
    assert door.rate_hz == pytest.approx(10, rel=0.1)


def test_each_camera_has_its_own_outputs_and_rate(view):
    assert view.predictions == 40
    assert {name: camera.predictions for name, camera in view.cameras.items()} == {"door": 30, "yard": 10}
    assert view.cameras["door"].outputs["sign"]["label"] == "stop"
    assert view.cameras["yard"].outputs["sign"]["label"] == "go"
    assert view.cameras["door"].rate_hz == pytest.approx(10, rel=0.1)
    assert view.cameras["yard"].rate_hz == pytest.approx(10 / 3, rel=0.2)


def test_the_table_and_the_line_name_the_cameras(view):
    console = Console(width=160)
    with console.capture() as shown:
        console.print(board(view))
    rows = {text.split()[0]: text for text in shown.get().splitlines() if text.strip()}
    assert "go  0.90" in rows["yard"]
    assert "door 9 ms fresh" in line(view)
    assert "yard 9 ms fresh" in line(view)


def test_one_camera_has_the_state_it_always_had(run, predict):
    tally = Tally(ManualClock())
    tally.open(run)
    tally.take(predict(3))
    assert "cameras" not in msgspec.to_builtins(tally.view())
    assert list(tally.view().inputs) == ["image", "audio"]


def test_the_records_name_the_camera_only_where_there_are_several(predict, summary):
    assert "camera" not in as_json(predict(1))
    assert as_json(predict(1, camera="door"))["camera"] == "door"
    assert "camera" not in as_json(Event(1, "camera", "live"))
    assert as_json(Event(1, "door", "live", "", "door"))["camera"] == "door"
    assert "cameras" not in as_json(summary)
    figures = CameraFigures(3, {"image": 4}, {"image": {"overrun": 1}}, {}, {}, 0)
    told = as_json(msgspec.structs.replace(summary, cameras={"door": figures}))["cameras"]
    assert told["door"]["captured"] == {"image": 4}


def test_distributions_add_up():
    values = np.random.default_rng(0).lognormal(1, 1, 900)
    whole, parts = Distribution(), [Distribution() for _ in range(3)]
    for k, value in enumerate(values):
        whole.add(value)
        parts[k % 3].add(value)
    merged = Distribution.merged(parts)
    assert merged.figures(50, 90, 99) == whole.figures(50, 90, 99)
    assert (merged.count, merged.total) == (900, pytest.approx(whole.total))
