"""A peer's answers as they come, from whichever thread, and what they cost once it has settled."""

from __future__ import annotations

import resource
import time
from typing import Any, NamedTuple

STARTING_UP = 10  # answers that do not count: threads start, queues fill, a graph finds its pace


class Answer(NamedTuple):
    which: int  # the number of a frame in a file, or the stamp of its capture
    label: int
    came_ns: int
    cpu_s: float


class Answers:
    """Called once an answer: `answers(which, label)`."""

    def __init__(self) -> None:
        self._given: list[Answer] = []

    def __call__(self, which: int, label: int) -> None:
        self._given.append(Answer(which, label, time.monotonic_ns(), cpu_s()))

    def labels(self) -> list[int]:
        """By the number of the frame."""
        return [answer.label for answer in sorted(self._given)]

    def ages_ms(self) -> list[float]:
        """From the capture to the answer."""
        return [(answer.came_ns - answer.which) / 1e6 for answer in self._given[STARTING_UP:]]

    def cost(self) -> dict[str, Any]:
        """Between the first answer that counts and the last."""
        settled = self._given[STARTING_UP:]
        if len(settled) < 2:
            raise ValueError(f"it gave {len(self._given)} answers")
        return {
            "results": len(settled) - 1,
            "seconds": (settled[-1].came_ns - settled[0].came_ns) / 1e9,
            "cpu_s": settled[-1].cpu_s - settled[0].cpu_s,
        }


def cpu_s() -> float:
    """Of this process so far, all its threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
