"""The chaos run: a short one is right, and each of its checks can fail."""

import time
from collections import Counter
from types import SimpleNamespace

import pytest

from mm_edge.benchmarks.studies.live.chaos import chaos, worst
from mm_edge.benchmarks.studies.live.faults.make import exit_code_of, unbalanced
from mm_edge.benchmarks.studies.live.faults.schedule import LANES, Fault, schedule
from mm_edge.benchmarks.studies.live.faults.witness import NEVER_MS, Report, Witness
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.session.watchdog import Watchdog
from mm_edge.runtime.view import connections
from mm_edge.sample import Event

SHORT_MIN = 5 / 60
EVERY_KIND = {kind for kinds in LANES.values() for kind in kinds}


@pytest.mark.slow
def test_a_short_chaos_run_reports_every_fault_and_loses_nothing_uncounted(monkeypatch):
    monkeypatch.setattr(connections, "SILENT_S", 0.6)
    found = chaos(SHORT_MIN, seed=1)
    assert found["wrong"] == []
    assert {kind for kind, *_ in found["faults"]} == EVERY_KIND
    assert found["exit_code"] == 0
    assert found["captured"]["image"] == found["predictions"] + sum(found["dropped"]["image"].values())
    # How late a report may be is for the long run on a calm machine; here, none is missing.
    assert NEVER_MS not in {row["longest_ms"] for row in found["reports"].values()}
    assert not [line for line in found["late"] if f"after {NEVER_MS} ms" in line]


def test_a_state_that_nobody_reports_is_found(monkeypatch):
    """Without the watchdog's checks a stalled camera cannot report itself."""
    monkeypatch.setattr(connections, "SILENT_S", 0.2)
    monkeypatch.setattr("mm_edge.benchmarks.studies.live.faults.witness.PATIENCE_S", 0.1)
    monkeypatch.setattr(
        "mm_edge.benchmarks.studies.live.chaos.schedule",
        lambda _seed, _seconds: {"camera": [Fault("camera_stall", 0.2, 0.9)]},
    )
    monkeypatch.setattr(Watchdog, "run", lambda _watchdog: None)
    found = chaos(SHORT_MIN)
    assert any(line.startswith(f"camera_stall at 0.2 s: camera: stale after {NEVER_MS} ms") for line in found["late"])


@pytest.mark.parametrize("seed", range(5))
def test_a_schedule_has_every_kind_and_is_the_same_for_the_same_seed(seed):
    plan = schedule(seed, 600)
    assert plan == schedule(seed, 600)
    assert plan != schedule(seed + 1, 600)
    kinds = Counter(fault.kind for lane in plan.values() for fault in lane)
    assert set(kinds) == EVERY_KIND
    assert min(kinds.values()) > 10
    for lane in plan.values():
        assert [fault.at_s for fault in lane] == sorted(fault.at_s for fault in lane)


def test_a_report_counts_from_its_cause_and_an_earlier_one_does_not_count():
    witness = Witness()
    witness.take(Event(0, "camera", "stale"))
    cause_ns = time.monotonic_ns()
    witness.take(Event(0, "camera", "live"))
    time.sleep(0.002)
    witness.take(Event(0, "camera", "stale"))
    report = witness.report_of("camera", "stale", cause_ns, 10.0)
    assert 2.0 <= report.ms < 10_000
    assert report.in_time


def test_a_report_that_is_late_or_never_comes_is_not_in_time():
    assert not Report("camera: stale", 501.0, 500.0).in_time
    assert not Report("camera: stale", NEVER_MS, 500.0).in_time
    never = worst([(Fault("camera_stall", 1.0, 1.0), [Report("", ms, 500.0)]) for ms in (NEVER_MS, 100.0)])
    assert never["camera_stall, "]["longest_ms"] == NEVER_MS
    shown = worst([(Fault("camera_stall", 1.0, 1.0), [Report("camera: stale", ms, 500.0)]) for ms in (100.0, 501.0)])
    assert shown["camera_stall, camera: stale"] == {"count": 2, "late": 1, "longest_ms": 501.0, "limit_ms": 500.0}


def test_a_capture_that_nobody_counts_is_found():
    counts = SimpleNamespace(captured={"image": 10}, predictions=7, dropped={"image": {"overrun": 2}})
    assert unbalanced(counts) == ["captured 10, but predicted 7 and dropped 2"]
    counts.dropped["image"]["failed"] = 1
    assert unbalanced(counts) == []


def test_the_exit_code_is_that_of_what_ended_the_run():
    def fail():
        raise WorkFailedError("it is broken")

    assert exit_code_of(SimpleNamespace(raise_error=fail)) == 1
    assert exit_code_of(SimpleNamespace(raise_error=lambda: None)) == 0
