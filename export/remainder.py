"""Finds the smallest set of nodes that must stay fp32 so that the rest may be reduced: ranks blocks, then bisects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_BLOCKS = 8
MOST_TRIALS = 32


@dataclass
class Search:
    """What was tried. `loss_of` makes the graph with these nodes in fp32, runs it, and gives the relative error."""

    loss_of: Callable[[frozenset[str]], float]
    tolerance: float
    most_blocks: int = MOST_BLOCKS
    most_trials: int = MOST_TRIALS
    trials: int = 0
    known: dict[frozenset[str], float] = field(default_factory=dict)

    def loss(self, kept: frozenset[str]) -> float:
        if kept not in self.known:
            self.trials += 1
            self.known[kept] = self.loss_of(kept)
        return self.known[kept]

    def passes(self, kept: frozenset[str]) -> bool:
        return self.loss(kept) <= self.tolerance


def smallest_remainder(
    nodes: Sequence[str], search: Search, blocks: Sequence[Sequence[str]] = ()
) -> frozenset[str] | None:
    """The nodes to keep in fp32, or None when even keeping all of them is not enough (the loss is not theirs).

    `blocks` are the nodes in the groups to begin with; without them the nodes are cut evenly.
    """
    if search.passes(frozenset()):
        return frozenset()
    everything = frozenset(nodes)
    if not search.passes(everything):
        return None
    ranked = _by_harm([list(block) for block in blocks] or _evenly(list(nodes), search.most_blocks), search)
    kept = _shortest_prefix(ranked, search)
    return _shrunk(kept, search)


def _evenly(nodes: list[str], most_blocks: int) -> list[list[str]]:
    """Contiguous blocks of one size."""
    size = -(-len(nodes) // most_blocks)
    return [nodes[start : start + size] for start in range(0, len(nodes), size)]


def _by_harm(blocks: list[list[str]], search: Search) -> list[list[str]]:
    """The block that loses most when it alone is reduced first."""
    everything = _union(blocks)
    return sorted(blocks, key=lambda block: -search.loss(everything - frozenset(block)))


def _shortest_prefix(ranked: list[list[str]], search: Search) -> list[list[str]]:
    """By bisection: the fewest of the most harmful blocks that are enough."""
    low, high = 1, len(ranked)
    while low < high:
        middle = (low + high) // 2
        if search.passes(_union(ranked[:middle])):
            high = middle
        else:
            low = middle + 1
    return ranked[:low]


def _shrunk(blocks: list[list[str]], search: Search) -> frozenset[str]:
    """Halves each kept block again and again while one half of it is enough, the least harmful block first."""
    kept = list(blocks)
    for place in reversed(range(len(kept))):
        while len(kept[place]) > 1 and search.trials < search.most_trials:
            block = kept[place]
            halves = [block[: len(block) // 2], block[len(block) // 2 :]]
            half = next(
                (half for half in halves if search.passes(_union([*kept[:place], half, *kept[place + 1 :]]))), None
            )
            if half is None:
                break
            kept[place] = half
    return _union(kept)


def _union(blocks: Sequence[Sequence[str]]) -> frozenset[str]:
    return frozenset(node for block in blocks for node in block)
