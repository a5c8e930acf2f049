"""The peers' results, and which of them wins each row."""

from __future__ import annotations

from mm_edge.benchmarks.figure import Machine  # noqa: TC001  # msgspec reads the annotation
from mm_edge.spec import Strict

MORE_IS_BETTER = ("frames a second", "results a second")


class Peer(Strict, frozen=True):
    name: str
    ours: bool
    figures: dict[str, float]
    same_labels: bool  # whether it gave ours' answers, frame by frame


class Results(Strict, frozen=True):
    """One run of all that run a model, side by side. `absent`: who does not, and why."""

    title: str
    model: str
    frames: int
    rounds: int
    seconds: float
    keeps_up_fps: float
    too_slow_fps: float
    machine: Machine
    peers: tuple[Peer, ...]
    absent: dict[str, str]


def winner(results: Results, figure: str) -> str:
    """The name of the best in a row."""
    more = any(word in figure for word in MORE_IS_BETTER)
    best = (max if more else min)(results.peers, key=lambda peer: peer.figures[figure])
    return best.name
