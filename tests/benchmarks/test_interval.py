"""Percentiles, query counts and intervals are what the literature says, on samples whose truth is known."""

import numpy as np
import pytest

from mm_edge.benchmarks.bench.interval import (
    best_error,
    early_stopping,
    error_of,
    least_queries,
    order_interval,
    percentile,
    resemblance,
    run_error,
    scatter,
    second_run,
)


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile(range(1, 101), 90) == 90
    assert percentile([5.0], 99) == 5.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0


@pytest.mark.parametrize(("percent", "queries"), [(90, 64), (99, 662)])
def test_mlperf_wants_so_many_queries(percent, queries):
    assert least_queries(percent) == queries
    assert early_stopping(range(queries - 1), percent) is None
    assert early_stopping(range(queries), percent) == queries - 1


def test_early_stopping_comes_down_to_the_percentile_with_more_queries():
    values = np.arange(100_000)
    assert 90_000 < early_stopping(values, 90) < 90_400


def test_values_that_resemble_each_other_are_worth_fewer():
    generator = np.random.default_rng(0)
    alone = generator.normal(size=4000)
    drifting = np.repeat(generator.normal(size=200), 20)
    assert resemblance(alone) < 1.5
    assert 10 < resemblance(drifting) < 40
    low, high = order_interval(alone, 90)
    wide_low, wide_high = order_interval(drifting, 90)
    assert low < percentile(alone, 90) < high
    assert wide_high - wide_low > 2 * (high - low)


def test_one_round_says_next_to_nothing():
    assert scatter([1.0]) == 0.5
    assert scatter([1.0, 1.01, 0.99, 1.0]) < 0.02


@pytest.mark.parametrize("resembling", [False, True], ids=["rounds apart", "rounds that drift"])
def test_a_second_run_lies_where_the_first_said_nine_times_out_of_ten(resembling):
    generator = np.random.default_rng(1)

    def run():
        noise = generator.normal(0, 0.1, 24)
        if resembling:
            for place in range(1, 24):
                noise[place] = 0.6 * noise[place - 1] + 0.8 * noise[place]
        rounds = np.exp(noise)
        return float(np.median(rounds)), rounds

    held = 0
    for _ in range(300):
        (first, rounds), (second, _) = run(), run()
        low, high = second_run(first, run_error(rounds))
        held += low <= second <= high
    assert held >= 270
    assert high / low < 3  # an interval that holds because it is endless is no use


def test_a_tail_that_few_queries_tell_widens_the_interval():
    rounds = [1.0, 1.01, 0.99, 1.0]
    low, high = second_run(1.0, run_error(rounds))
    wide_low, wide_high = second_run(1.0, run_error(rounds), tail=(0.8, 1.5))
    assert wide_low < low < high < wide_high


def test_the_error_comes_back_out_of_the_interval_that_was_made_of_it():
    assert error_of(*second_run(3.0, 0.02)) == pytest.approx(0.02)


def test_a_quickest_reading_that_nothing_comes_near_is_not_trusted():
    generator = np.random.default_rng(0)
    often, seldom = 1 + generator.exponential(0.01, 1000), 1 + generator.gamma(8, 0.1, 1000)
    assert best_error(often) < 0.01 < best_error(seldom)
