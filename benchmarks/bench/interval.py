"""Uncertainty of figures: percentiles, MLPerf's query counts and early stopping, and prediction intervals.

Consecutive timings are correlated, and a machine's speed drifts; an interval that treats every query as independent is
far too narrow. One observation is therefore a round: a slice of the run for which everything is loaded again. Three
sources of error are estimated separately and added: the scatter of rounds, the variation between runs, and the
uncertainty of a tail with this number of queries.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.9
STOPPING_CONFIDENCE = 0.99  # MLPerf's
# Variation between runs that the rounds of one run cannot show: memory layout, other load on the host. Such load lasts
# for minutes, so runs of seconds scatter by this factor more than the rounds of one run. Fitted to runs of
# benchmarks/studies/proving.py, and validated on other runs.
BETWEEN_RUNS = 0.015
LONG_MEMORY = 2.5
# For ratios of two timings in turns of milliseconds: other load slows both.
BETWEEN_RATIOS = 0.004
# For the minimum: it is stable between runs if many readings are close to it.
BETWEEN_BESTS = 0.008
NEAR_BEST, OF_NEAR_BEST = (
    2,
    0.5,
)  # the percentile compared with the minimum, and the share of their gap that counts as standard error
# Student's t for a two-sided 90 %, by degrees of freedom.
_T90 = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81, 1.80, 1.78, 1.77, 1.76, 1.75)
_T90_MANY = 1.645
_OF_A_MEDIAN = math.sqrt(math.pi / 2)  # its standard error over that of a mean
SHORT = 100
ONE_ROUND = 0.5  # the assumed error of a single round


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest measured value that `percent` of all values do not exceed; no interpolation."""
    ordered = np.sort(np.asarray(values, float))
    return float(ordered[max(0, math.ceil(len(ordered) * percent / 100 - 1e-9) - 1)])


def least_queries(percent: float) -> int:
    """The number of queries that MLPerf requires for a percentile: 64 for the 90th, 662 for the 99th."""
    low, high = 1, 1 << 20
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _over(middle, percent) >= 1 else (middle + 1, high)
    return low


def early_stopping(values: Sequence[float], percent: float) -> float | None:
    """MLPerf's early-stopping estimate of a percentile: with 99 % confidence the percentile is not higher."""
    over = _over(len(values), percent)
    return float(np.sort(np.asarray(values, float))[len(values) - over]) if over >= 1 else None


def _over(count: int, percent: float) -> int:
    """How many of `count` queries may be slower than the percentile at the required confidence; or 0."""
    share = 1 - percent / 100
    total, most = 0.0, 0
    for over in range(count + 1):
        log = (
            math.lgamma(count + 1)
            - math.lgamma(over + 1)
            - math.lgamma(count - over + 1)
            + over * math.log(share)
            + (count - over) * math.log1p(-share)
        )
        total += math.exp(log)
        if total > 1 - STOPPING_CONFIDENCE:
            break
        most = over
    return most


def order_interval(values: Sequence[float], percent: float) -> tuple[float, float]:
    """The 90 % confidence interval of the percentile, from order statistics alone.

    The count is divided by the autocorrelation time, as correlated values carry less information.
    """
    ordered = np.sort(np.asarray(values, float))
    count, share = len(ordered), percent / 100
    worth = max(1.0, count / autocorrelation_time(values))
    wide = _T90_MANY * math.sqrt(share * (1 - share) / worth)
    last = count - 1
    low, high = (min(last, max(0, round(last * (share + side)))) for side in (-wide, wide))
    return float(ordered[low]), float(ordered[high])


def autocorrelation_time(values: Sequence[float]) -> float:
    """The integrated autocorrelation time of the ranks, at least 1: this many values count as one."""
    ranks = np.argsort(np.argsort(np.asarray(values, float))).astype(float)
    ranks -= ranks.mean()
    count = len(ranks)
    power = float(ranks @ ranks)
    if count < 4 or power == 0:
        return 1.0
    length = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(ranks, length)
    related = np.fft.irfft(spectrum * np.conj(spectrum), length)[:count] / power
    time = 1.0
    for lag in range(1, count // 2):
        if related[lag] <= 0:
            break
        time += 2 * float(related[lag])
    # In a short series the estimated lag-1 correlation r is too small, by about (1 + 4 r) / n.
    most = 1 - 1.8 / math.sqrt(count)  # the largest correlation that so few values can show
    first = min(most, float(related[1]) + (1 + 4 * float(related[1])) / count)
    return max(1.0, time, (1 + first) / (1 - first) if count < SHORT and first > 0 else 1.0)


def scatter(rounds: Sequence[float]) -> float:
    """The relative standard error of the median of the rounds, with Student's factor for small samples."""
    if len(rounds) < 2:
        return ONE_ROUND
    logs = np.log(np.maximum(np.asarray(rounds, float), 1e-12))
    freedom = len(rounds) - 1
    factor = (_T90[freedom - 1] if freedom <= len(_T90) else _T90_MANY) / _T90_MANY
    # Consecutive rounds are correlated.
    error = _OF_A_MEDIAN * float(logs.std(ddof=1)) / math.sqrt(len(rounds) / autocorrelation_time(rounds))
    return factor * error


def run_error(rounds: Sequence[float]) -> float:
    """The relative standard error of a run's median as a prediction of other runs."""
    return math.hypot(LONG_MEMORY * scatter(rounds), BETWEEN_RUNS)


def ratio_error(rounds: Sequence[float]) -> float:
    """The same for ratios within turns. They do not drift, and a disturbed round does not move their median; its error
    is that of the order statistics around it.
    """
    logs = np.sort(np.log(np.asarray(rounds, float)))
    count = len(logs)
    if count < 2:
        return ONE_ROUND
    wide = _T90_MANY * math.sqrt(count) / 2
    low, high = np.interp([count / 2 - wide, count / 2 + wide], np.arange(count) + 0.5, logs)
    return math.hypot(float(high - low) / 2 / _T90_MANY, BETWEEN_RATIOS)


def best_error(values: Sequence[float]) -> float:
    """The same for the minimum: the gap to other low values shows how reproducible it is."""
    gap = math.log(percentile(values, NEAR_BEST) / min(values))
    return math.hypot(OF_NEAR_BEST * gap, BETWEEN_BESTS)


def error_of(low: float, high: float) -> float:
    """The standard error from which `prediction_interval` computed the interval."""
    return math.log(high / low) / 2 / _T90_MANY / math.sqrt(2)


def prediction_interval(value: float, error: float, tail: tuple[float, float] | None = None) -> tuple[float, float]:
    """The 90 % interval for another run of the same bench; both runs have this error, hence the root of 2."""
    if value <= 0:
        return value, value
    low_log = high_log = error * _T90_MANY
    if tail is not None:
        low_log = math.hypot(low_log, math.log(value / tail[0]) if 0 < tail[0] < value else 0.0)
        high_log = math.hypot(high_log, math.log(tail[1] / value) if tail[1] > value else 0.0)
    root = math.sqrt(2)
    return value * math.exp(-root * low_log), value * math.exp(root * high_log)
