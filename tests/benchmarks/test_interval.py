"""Percentiles, query counts and intervals, on samples with known distributions."""

import numpy as np
import pytest

from mm_edge.benchmarks.bench.interval import (
    autocorrelation_time,
    best_error,
    early_stopping,
    error_of,
    least_queries,
    order_interval,
    percentile,
    prediction_interval,
    run_error,
    scatter,
)


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile(range(1, 101), 90) == 90
    assert percentile([5.0], 99) == 5.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0


@pytest.mark.parametrize(("percent", "queries"), [(90, 64), (99, 662)])
def test_query_counts_are_those_of_mlperf(percent, queries):
    assert least_queries(percent) == queries
    assert early_stopping(range(queries - 1), percent) is None
    assert early_stopping(range(queries), percent) == queries - 1


def test_early_stopping_comes_down_to_the_percentile_with_more_queries():
    values = np.arange(100_000)
    assert 90_000 < early_stopping(values, 90) < 90_400


def test_correlated_values_count_less():
    generator = np.random.default_rng(0)
    alone = generator.normal(size=4000)
    drifting = np.repeat(generator.normal(size=200), 20)
    assert autocorrelation_time(alone) < 1.5
    assert 10 < autocorrelation_time(drifting) < 40
    low, high = order_interval(alone, 90)
    wide_low, wide_high = order_interval(drifting, 90)
    assert low < percentile(alone, 90) < high
    assert wide_high - wide_low > 2 * (high - low)


def test_a_single_round_has_a_large_error():
    assert scatter([1.0]) == 0.5
    assert scatter([1.0, 1.01, 0.99, 1.0]) < 0.02


@pytest.mark.parametrize("correlated", [False, True], ids=["rounds apart", "rounds that drift"])
def test_another_run_lies_in_the_interval_in_nine_of_ten_cases(correlated):
    generator = np.random.default_rng(1)

    def run():
        noise = generator.normal(0, 0.1, 24)
        if correlated:
            for place in range(1, 24):
                noise[place] = 0.6 * noise[place - 1] + 0.8 * noise[place]
        rounds = np.exp(noise)
        return float(np.median(rounds)), rounds

    inside = 0
    for _ in range(300):
        (first, rounds), (second, _) = run(), run()
        low, high = prediction_interval(first, run_error(rounds))
        inside += low <= second <= high
    assert inside >= 270
    assert high / low < 3  # an unbounded interval would pass too


def test_an_uncertain_tail_widens_the_interval():
    rounds = [1.0, 1.01, 0.99, 1.0]
    low, high = prediction_interval(1.0, run_error(rounds))
    wide_low, wide_high = prediction_interval(1.0, run_error(rounds), tail=(0.8, 1.5))
    assert wide_low < low < high < wide_high


def test_the_error_is_recovered_from_the_interval():
    assert error_of(*prediction_interval(3.0, 0.02)) == pytest.approx(0.02)


def test_an_isolated_minimum_has_a_large_error():
    generator = np.random.default_rng(0)
    often, seldom = 1 + generator.exponential(0.01, 1000), 1 + generator.gamma(8, 0.1, 1000)
    assert best_error(often) < 0.01 < best_error(seldom)
