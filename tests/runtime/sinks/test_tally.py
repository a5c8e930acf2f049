"""The status of a run, and how the terminal, a log and Prometheus show it."""

import io

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from mm_edge.runtime.sinks.prometheus import PrometheusSink
from mm_edge.runtime.sinks.telemetry.board import board, line
from mm_edge.runtime.sinks.telemetry.status import RECENT, RunView, Tally
from mm_edge.runtime.sinks.telemetry.words import in_words
from mm_edge.runtime.sinks.terminal import TerminalSink
from mm_edge.sample import Event

PERIOD_NS = NS_PER_S // 30


@pytest.fixture
def clock():
    return ManualClock(NS_PER_S)


@pytest.fixture
def tally(clock, run):
    tally = Tally(clock)
    tally.open(run)
    return tally


def feed(tally, clock, predict, count, **other):
    for seq in range(count):
        clock.advance(PERIOD_NS)
        tally.take(predict(seq, **other))


def test_rates_and_percentiles_are_those_of_the_last_seconds(tally, clock, predict):
    feed(tally, clock, predict, 100, total_ms=500.0)
    for seq in range(100, 100 + RECENT):
        clock.advance(PERIOD_NS)
        tally.take(predict(seq, total_ms=seq / 10))
    view = tally.view()
    total = view.stages["total"]
    values = [seq / 10 for seq in range(100, 100 + RECENT)]
    assert (total.last, total.p50, total.p99) == (
        values[-1],
        pytest.approx(values[150], abs=0.2),
        pytest.approx(values[296], abs=0.2),
    )
    assert view.rate_hz == pytest.approx(30, rel=0.02)
    assert view.inputs["image"].rate_hz == pytest.approx(30, rel=0.02)
    assert view.inputs["audio"].rate_hz == pytest.approx(10, rel=0.1)
    assert view.predictions == 100 + RECENT
    assert view.inputs["image"].dropped == {"overrun": 3, "stale": 0}
    assert view.inputs["image"].name == "camera"


def test_a_rate_counts_captures_and_not_uses(tally, clock, predict):
    for seq in range(60):
        clock.advance(PERIOD_NS)
        tally.take(predict(seq, image_seq=seq * 3))
    assert tally.view().inputs["image"].rate_hz == pytest.approx(90, rel=0.05)


def test_a_stall_is_reported_and_the_rate_drops_to_zero(tally, clock, predict):
    feed(tally, clock, predict, 90)
    clock.advance(4 * NS_PER_S)
    view = tally.view()
    assert view.rate_hz == 0
    assert view.idle_s == pytest.approx(4)


def test_a_lost_source_degrades_the_run_though_no_prediction_says_so(tally, clock, predict):
    feed(tally, clock, predict, 3)
    assert tally.view().health == "ok"
    tally.take(Event(clock.now_ns(), "camera", "lost", "it was unplugged"))
    clock.advance(2 * NS_PER_S)
    view = tally.view()
    assert view.health == "degraded"
    assert (view.sources["camera"].state, view.sources["camera"].since_s) == ("lost", 2.0)
    tally.take(Event(clock.now_ns(), "camera", "live"))
    assert tally.view().health == "ok"


def test_before_the_first_prediction_and_after_the_last(tally, predict, summary):
    view = tally.view()
    assert (view.health, view.inputs["image"].state, view.inputs["image"].age_ms) == ("starting", "waiting", None)
    tally.take(predict())
    tally.take(summary)
    assert tally.view().health == "ended"
    assert tally.view().summary["predictions"] == 300


def test_the_view_survives_json(tally, clock, predict):
    feed(tally, clock, predict, 40)
    view = tally.view()
    assert msgspec.json.decode(msgspec.json.encode(view), type=RunView) == view


def test_the_board_says_what_is_wrong(tally, clock, predict):
    feed(tally, clock, predict, 90, audio=False, health="degraded")
    tally.take(Event(clock.now_ns() - 2_000 * NS_PER_MS, "mic", "lost", "no sound for 500 ms"))
    out = Console(file=io.StringIO(), width=140)
    out.print(board(tally.view()))
    text = out.file.getvalue()
    for words in (
        "scout v3",
        "degraded",
        "missing",
        "3 overrun",
        "/dev/video0",
        "no sound for 500 ms",
        "stop  0.97",
        "encode.image",
    ):
        assert words in text
    assert line(tally.view()).startswith(
        "3 s  90 predictions  30.0/s  degraded  latency p50 12.9 p99 12.9 ms  image 9 ms fresh"
    )


def test_without_a_terminal_there_are_plain_lines(run, predict, summary):
    out = io.StringIO()
    sink = TerminalSink(Console(file=out))
    sink.open(run)
    sink.take(predict())
    sink.take(summary)
    sink.close()
    sink.close()
    assert out.getvalue().splitlines()[-1].split("  ")[1:4:2] == ["1 predictions", "ended"]
    assert "\x1b" not in out.getvalue()


def test_a_terminal_keeps_the_last_table(run, predict, summary):
    out = io.StringIO()
    sink = TerminalSink(Console(file=out, force_terminal=True, width=120, height=40))
    sink.open(run)
    sink.take(predict())
    sink.take(summary)
    sink.close()
    assert "scout" in out.getvalue().rpartition("\x1b[2K")[2] + out.getvalue()[-3000:]
    assert out.getvalue().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("the red ball", "the red ball"),
        ({"label": "stop", "score": 0.971, "scores": {}}, "stop  0.97"),
        ({"x": 411.6, "y": 96.0, "score": 0.9}, "x 412  y 96  0.90"),
        ({"x": None, "y": None, "score": 0.1}, "not detected  0.10"),
        ({"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.2}, "b 0.90  c 0.50  d 0.20"),
        ([], "none"),
        ([{"box": [0, 0, 1, 1], "label": "cup", "score": 0.5}] * 4, "cup 0.50  cup 0.50  cup 0.50  and 1 more"),
        ([{"prompt": "a dog", "score": 0.5}], "a dog 0.50"),
        ([0.0] * 512, "512 numbers"),
        ([0.5, 1.25], "0.5  1.25"),
    ],
)
def test_outputs_in_words(value, words):
    assert in_words(value) == words


def metrics_of(sink):
    """By name and labels, which stand in the order of the alphabet."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(sink.text().decode())
        for sample in family.samples
    }


def test_prometheus_reads_what_happened(run, predict):
    sink = PrometheusSink()
    sink.open(run)
    for seq in range(4):
        sink.take(predict(seq, total_ms=4.0, deadline_missed=seq == 0, audio=seq != 3))
    sink.take(Event(0, "camera", "lost"))
    sink.take(Event(0, "engine", "failed", "it raised"))
    found = metrics_of(sink)
    assert found["mm_edge_predictions_total",] == 4
    assert found["mm_edge_deadlines_missed_total",] == 1
    assert found["mm_edge_latency_seconds_count", "total"] == 4
    assert found["mm_edge_latency_seconds_sum", "total"] == pytest.approx(0.016)
    assert (
        found["mm_edge_latency_seconds_bucket", "0.005", "total"],
        found["mm_edge_latency_seconds_bucket", "0.002", "total"],
    ) == (4, 0)
    assert found["mm_edge_input_missing_total", "audio"] == 1
    assert found["mm_edge_input_age_seconds", "image"] == pytest.approx(0.0092)
    assert (found["mm_edge_source_state", "camera", "lost"], found["mm_edge_source_state", "camera", "live"]) == (1, 0)
    assert ("mm_edge_source_state", "engine", "failed") not in found
    assert (found["mm_edge_captured_total", "image"], found["mm_edge_dropped_total", "overrun", "image"]) == (40, 3)


def test_two_runs_in_one_process_do_not_share_their_metrics(run, predict):
    first, second = PrometheusSink(), PrometheusSink()
    first.open(run)
    first.take(predict())
    assert metrics_of(second)["mm_edge_predictions_total",] == 0
