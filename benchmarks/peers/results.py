"""The peers' results, and which of them win each row."""

from __future__ import annotations

from mm_edge.benchmarks.bench.figure import Machine  # noqa: TC001  # msgspec reads the annotation
from mm_edge.spec import Strict

MORE_IS_BETTER = ("frames a second", "results a second")


class Found(Strict, frozen=True):
    """One figure: over all rounds, and in each."""

    value: float
    rounds: tuple[float, ...]


class Peer(Strict, frozen=True):
    name: str
    ours: bool
    versions: dict[str, str]  # that its requirements pin
    figures: dict[str, Found]
    same_answers: float  # share of the film's frames


class Results(Strict, frozen=True):
    """One run of all that run a model, side by side. `right`: whose answers count as right. `absent`: who does not run
    it, and why.
    """

    title: str
    model: str
    when: str
    frames: int
    rounds: int
    seconds: float
    keeps_up_fps: float
    too_slow_fps: float
    machine: Machine
    right: str
    peers: tuple[Peer, ...]
    absent: dict[str, str]


def winners(results: Results, figure: str) -> set[str]:
    """The best in a row, and whoever cannot be told from it: its rounds reach into the best's."""
    more = any(word in figure for word in MORE_IS_BETTER)
    found = {peer.name: peer.figures[figure] for peer in results.peers}
    best = (max if more else min)(found.values(), key=lambda each: each.value)
    low, high = min(best.rounds), max(best.rounds)
    return {name for name, each in found.items() if min(each.rounds) <= high and max(each.rounds) >= low}
