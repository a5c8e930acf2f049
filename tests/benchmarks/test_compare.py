"""A slower part is accused, an unchanged one is not, and a machine that is slower today is no slower program."""

import numpy as np
import pytest
from bench_reports import PARTS, drawn, drawn_report, report_of

from mm_edge.benchmarks.bench.compare import TO_FLOOR, compare
from mm_edge.benchmarks.bench.scenarios.series import BEST, Series
from mm_edge.errors import UsageError

TRIALS = 40


def worse(then, now):
    return [change.key for change in compare(then, now) if change.verdict == "worse"]


def test_five_percent_in_one_part_is_caught_and_nobody_else_accused():
    found = [worse(drawn_report(seed), drawn_report(1000 + seed, slower=1.05)) for seed in range(TRIALS)]
    assert sum(keys == [f"parts/{PARTS[0]}{TO_FLOOR}"] for keys in found) >= TRIALS - 2


def test_an_unchanged_run_is_not_accused():
    assert sum(bool(worse(drawn_report(seed), drawn_report(1000 + seed))) for seed in range(TRIALS)) <= 1


def test_a_machine_at_half_its_pace_accuses_nobody():
    then, now = drawn_report(0), drawn_report(1, pace=300.0)
    assert now.figures[0].value > 1.7 * then.figures[0].value
    assert not worse(then, now)


def test_a_gain_is_told_as_one():
    changes = {change.key: change.verdict for change in compare(drawn_report(0), drawn_report(1, slower=0.9))}
    assert changes[f"parts/{PARTS[0]}{TO_FLOOR}"] == "better"
    assert all(verdict == "same" for key, verdict in changes.items() if PARTS[0] not in key)


def test_what_slows_the_floor_too_is_told_by_the_values():
    generator = np.random.default_rng(0)
    then = report_of([drawn(name, generator, floor=False) for name in PARTS])
    now = report_of([drawn(name, generator, slower=1.2, floor=False) for name in PARTS])
    assert sorted(worse(then, now)) == sorted(f"parts/{name}" for name in PARTS)


def quickest(value, pace=1.0):
    """A report of one part whose quickest reading took `value`, while the yardstick's took `pace`."""
    series = Series()
    for number in range(8):
        beside = [pace * (1 + 0.001 * place) for place in range(50)]
        series.add_turns([[value * (1 + 0.001 * (place + number)) for place in range(50)]], [beside])
    return report_of([series.figure("parts", "part", BEST)])


def test_a_quickest_reading_is_judged_by_the_intervals_that_were_printed():
    assert worse(quickest(1.0), quickest(1.08)) == ["parts/part"]
    assert not worse(quickest(1.0), quickest(1.02))


def test_a_run_that_never_met_the_quicker_pace_of_its_machine_is_not_accused():
    assert not worse(quickest(1.0), quickest(1.6, pace=1.5))
    assert worse(quickest(1.0), quickest(1.6, pace=1.01)) == ["parts/part"]


def test_a_rate_that_falls_is_worse():
    generator = np.random.default_rng(0)
    then = report_of([drawn("rate", generator, better="more", floor=False)])
    now = report_of([drawn("rate", generator, better="more", slower=0.85, floor=False)])
    assert worse(then, now) == ["parts/rate"]
    assert not worse(now, then)


def test_a_change_too_small_to_matter_is_left_alone_however_sure_it_is():
    generator = np.random.default_rng(0)
    then = report_of([drawn("part", generator, scatter=0.001, rounds=200)])
    now = report_of([drawn("part", generator, scatter=0.001, rounds=200, slower=1.015)])
    assert not worse(then, now)


@pytest.mark.parametrize("changes", [{"kind": "jetson-orin-nano"}, {"precision": "int8-cpu"}])
def test_what_cannot_be_compared_is_refused(changes):
    with pytest.raises(UsageError, match="Measure a new baseline"):
        compare(drawn_report(0), drawn_report(0, **changes))
