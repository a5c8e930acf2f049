"""Finds the smallest set of nodes that must stay fp32 so that the rest may be reduced: ranked once, then bisected."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Node = TypeVar("Node", bound="str | tuple[str, str]")  # a name, or a part's and a name

MOST_TRIALS = 32
STEPS = 32  # a prefix is bisected no finer than this share of all nodes


@dataclass
class Search(Generic[Node]):
    """What was tried. `loss_of` makes the graph with these nodes in fp32, runs it, and gives the relative error."""

    loss_of: Callable[[frozenset[Node]], float]
    tolerance: float
    seconds: float = float("inf")  # after which the best so far is taken
    most_trials: int = MOST_TRIALS
    trials: int = 0
    stopped: bool = False  # by the time, with something left to try
    known: dict[frozenset[Node], float] = field(default_factory=dict)
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = time.monotonic()

    def loss(self, kept: frozenset[Node]) -> float:
        if kept not in self.known:
            self.trials += 1
            self.known[kept] = self.loss_of(kept)
        return self.known[kept]

    def passes(self, kept: frozenset[Node]) -> bool:
        return self.loss(kept) <= self.tolerance

    def out_of_time(self) -> bool:
        """Asked before a trial that would make the result better, not before one that is needed to have any."""
        over = time.monotonic() - self.start > self.seconds
        self.stopped = self.stopped or over
        return over


def smallest_remainder(
    ranked: Sequence[Node], search: Search[Node], longest: int | None = None
) -> frozenset[Node] | None:
    """The nodes to keep in fp32, out of the first `longest` of `ranked`; None when even those are not enough.

    `ranked` has the node first whose fp32 gains most for what it costs. What passes is what was tried: the ranking
    only says what to try.
    """
    if search.passes(frozenset()):
        return frozenset()
    high = len(ranked) if longest is None else longest
    if not high or not search.passes(frozenset(ranked[:high])):
        return None
    low, step = 0, max(1, len(ranked) // STEPS)
    while high - low > step and not search.out_of_time():
        middle = (low + high) // 2
        if search.passes(frozenset(ranked[:middle])):
            high = middle
        else:
            low = middle
    return _shrunk(list(ranked[:high]), search)


def _shrunk(kept: list[Node], search: Search[Node]) -> frozenset[Node]:
    """Gives back what the ranking was wrong about: halves of what is kept, then quarters, and so on, the last first."""
    size = len(kept) // 2
    while size and search.trials < search.most_trials:
        for start in reversed(range(0, len(kept), size)):
            if search.trials >= search.most_trials or search.out_of_time():
                return frozenset(kept)
            without = kept[:start] + kept[start + size :]
            if without and search.passes(frozenset(without)):
                kept = without
        size //= 2
    return frozenset(kept)
