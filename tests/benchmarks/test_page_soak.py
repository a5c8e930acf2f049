"""The soak of the live page: a short one is clean, and each of its checks can fail."""

import pytest

from mm_edge.benchmarks.studies.live import page_soak
from mm_edge.benchmarks.studies.live.page_soak import MOST_MB_PER_MINUTE, Reading, faults, growth, soak
from mm_edge.errors import WorkFailedError

CLEAN = {"mb_per_minute": 0.05, "more_descriptors": 0, "more_threads": 0, "visits": {}, "exit_code": 130}


def readings(*, slope=0.0, descriptors=0, threads=0, count=20):
    """`slope`: in MB a minute; the others: added from the second half on."""
    return [
        Reading(k / 2, 170 + slope * k / 2, 10 + descriptors * (k >= count // 2), 14 + threads * (k >= count // 2))
        for k in range(count)
    ]


@pytest.mark.slow
def test_a_short_soak_of_the_real_page_is_clean_but_for_the_memory_of_its_start(monkeypatch):
    monkeypatch.setattr(page_soak, "QUIET_S", 0.5)
    found = soak(minutes=5 / 60, clients=6, round_s=1.6)
    assert faults({**found, "mb_per_minute": 0.0}) == []
    assert found["visits"]["frames"] > 0


def test_growth_is_measured_in_the_second_half():
    assert growth(readings(slope=0.3))["mb_per_minute"] == pytest.approx(0.3)
    assert growth(readings(descriptors=2))["more_descriptors"] == 2
    assert growth(readings(threads=1))["more_threads"] == 1
    warming_up = [Reading(k / 2, 170 + min(k, 10), 10, 14) for k in range(20)]
    assert growth(warming_up)["mb_per_minute"] == pytest.approx(0.0)
    with pytest.raises(WorkFailedError, match="only 2 readings"):
        growth(readings(count=2))


@pytest.mark.parametrize(
    ("worse", "reported"),
    [
        ({"mb_per_minute": MOST_MB_PER_MINUTE + 0.01}, "memory grows by 0.11 MB a minute"),
        ({"more_descriptors": 1}, "1 more file descriptors"),
        ({"more_threads": 1}, "1 more threads"),
        ({"visits": {"failed": 3}}, "3 visits failed"),
        ({"exit_code": 1}, "exit code 1"),
    ],
)
def test_each_requirement_can_fail(worse, reported):
    assert faults(CLEAN) == []
    [fault] = faults({**CLEAN, **worse})
    assert reported in fault
