"""Collects a peer's answers from any thread, and their latencies and CPU cost after a warm-up."""

from __future__ import annotations

import resource
import time
from typing import Any, NamedTuple

WARM_UP = 10  # answers that are not counted: threads start, queues fill, the engine warms up


class Answer(NamedTuple):
    which: int  # the index of a frame in a file, or the time of its capture in ns
    label: int
    answered_ns: int
    cpu_s: float


class Answers:
    """Called once for each answer: `answers(which, label)`."""

    def __init__(self) -> None:
        self._given: list[Answer] = []

    def __call__(self, which: int, label: int) -> None:
        self._given.append(Answer(which, label, time.monotonic_ns(), cpu_s()))

    def labels(self) -> list[int]:
        """In the order of the frames."""
        return [answer.label for answer in sorted(self._given)]

    def latencies_ms(self) -> list[float]:
        """From the capture to the answer."""
        return [(answer.answered_ns - answer.which) / 1e6 for answer in self._given[WARM_UP:]]

    def cost(self) -> dict[str, Any]:
        """Between the first answer after the warm-up and the last."""
        counted = self._given[WARM_UP:]
        if len(counted) < 2:
            raise ValueError(f"{len(self._given)} answers, at least {WARM_UP + 2} are needed")
        return {
            "results": len(counted) - 1,
            "seconds": (counted[-1].answered_ns - counted[0].answered_ns) / 1e9,
            "cpu_s": counted[-1].cpu_s - counted[0].cpu_s,
        }


def cpu_s() -> float:
    """CPU time of this process so far, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
