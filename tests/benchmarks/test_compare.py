"""Regressions of slower parts are reported, unchanged parts are not, and a slower machine is not a slower program."""

import numpy as np
import pytest
from bench_reports import PARTS, drawn, drawn_report, report_of

from mm_edge.benchmarks.bench.compare import TO_FLOOR, compare
from mm_edge.benchmarks.bench.scenarios.series import BEST, Series
from mm_edge.errors import UsageError

TRIALS = 40


def worse(then, now):
    return [change.key for change in compare(then, now) if change.verdict == "regression"]


def test_a_regression_of_five_percent_is_reported_for_its_part_only():
    found = [worse(drawn_report(seed), drawn_report(1000 + seed, slower=1.05)) for seed in range(TRIALS)]
    assert sum(keys == [f"parts/{PARTS[0]}{TO_FLOOR}"] for keys in found) >= TRIALS - 2


def test_an_unchanged_run_has_no_regression():
    assert sum(bool(worse(drawn_report(seed), drawn_report(1000 + seed))) for seed in range(TRIALS)) <= 1


def test_a_machine_at_half_speed_is_not_a_regression():
    then, now = drawn_report(0), drawn_report(1, pace=300.0)
    assert now.figures[0].value > 1.7 * then.figures[0].value
    assert not worse(then, now)


def test_an_improvement_is_reported():
    changes = {change.key: change.verdict for change in compare(drawn_report(0), drawn_report(1, slower=0.9))}
    assert changes[f"parts/{PARTS[0]}{TO_FLOOR}"] == "improvement"
    assert all(verdict == "unchanged" for key, verdict in changes.items() if PARTS[0] not in key)


def test_a_regression_of_the_floor_too_shows_in_the_values():
    generator = np.random.default_rng(0)
    then = report_of([drawn(name, generator, floor=False) for name in PARTS])
    now = report_of([drawn(name, generator, slower=1.2, floor=False) for name in PARTS])
    assert sorted(worse(then, now)) == sorted(f"parts/{name}" for name in PARTS)


def quickest(value, pace=1.0):
    """A report of one part with the minimum `value`, and the minimum `pace` of the reference timing."""
    series = Series()
    for number in range(8):
        beside = [pace * (1 + 0.001 * place) for place in range(50)]
        series.add_turns([[value * (1 + 0.001 * (place + number)) for place in range(50)]], [beside])
    return report_of([series.figure("parts", "part", BEST)])


def test_minima_are_compared_by_their_intervals():
    assert worse(quickest(1.0), quickest(1.08)) == ["parts/part"]
    assert not worse(quickest(1.0), quickest(1.02))


def test_a_slower_machine_is_not_a_regression_of_the_minimum():
    assert not worse(quickest(1.0), quickest(1.6, pace=1.5))
    assert worse(quickest(1.0), quickest(1.6, pace=1.01)) == ["parts/part"]


def test_a_lower_throughput_is_a_regression():
    generator = np.random.default_rng(0)
    then = report_of([drawn("rate", generator, better="more", floor=False)])
    now = report_of([drawn("rate", generator, better="more", slower=0.85, floor=False)])
    assert worse(then, now) == ["parts/rate"]
    assert not worse(now, then)


def test_a_small_change_is_not_reported_even_if_it_is_significant():
    generator = np.random.default_rng(0)
    then = report_of([drawn("part", generator, scatter=0.001, rounds=200)])
    now = report_of([drawn("part", generator, scatter=0.001, rounds=200, slower=1.015)])
    assert not worse(then, now)


@pytest.mark.parametrize("changes", [{"kind": "jetson-orin-nano"}, {"precision": "int8-cpu"}])
def test_incomparable_runs_are_refused(changes):
    with pytest.raises(UsageError, match="Measure a new baseline"):
        compare(drawn_report(0), drawn_report(0, **changes))
