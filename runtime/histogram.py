"""Distributions of durations in fixed memory, whatever the length of the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEAST_MS = 0.001
_STEP = math.log(1.01)  # a bucket is 1 % wide, so a percentile has an error of up to half of that
_BUCKETS = int(math.log(1e8) / _STEP) + 2  # up to 100,000 s


class Distribution:
    """Counts values in buckets of 1 % width; count, sum and maximum are exact."""

    __slots__ = ("_buckets", "count", "most", "total")

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.count, self.total, self.most = 0, 0.0, 0.0

    def add(self, ms: float) -> None:
        index = int(math.log(ms / _LEAST_MS) / _STEP) + 1 if ms > _LEAST_MS else 0
        self._buckets[min(index, _BUCKETS - 1)] += 1
        self.count += 1
        self.total += ms
        self.most = max(self.most, ms)

    @classmethod
    def merged(cls, parts: Iterable[Distribution]) -> Distribution:
        """One that counts what all of the parts count."""
        whole = cls()
        for part in parts:
            whole._buckets = [one + other for one, other in zip(whole._buckets, part._buckets, strict=True)]  # noqa: SLF001  # of the same class
            whole.count += part.count
            whole.total += part.total
            whole.most = max(whole.most, part.most)
        return whole

    def percentile(self, percent: float) -> float:
        """The middle of the bucket that holds it, but never more than the maximum."""
        rank = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for index, number in enumerate(self._buckets):
            seen += number
            if seen >= rank:
                middle = _LEAST_MS * math.exp((index - 0.5) * _STEP) if index else 0.0
                return min(middle, self.most)
        return self.most

    def figures(self, *percents: int) -> dict[str, float]:
        if not self.count:
            return {}
        return {
            **{f"p{percent}": round(self.percentile(percent), 4) for percent in percents},
            "max": round(self.most, 4),
        }
