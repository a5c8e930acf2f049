"""The recorded results of a comparison, and the best peers of each row."""

from __future__ import annotations

import statistics
from typing import Final, Literal

from mm_edge.benchmarks.bench.figure import Machine  # noqa: TC001  # msgspec reads the annotation
from mm_edge.spec import Strict

SCHEMA: Final = 2  # of each entry in the JSON
WAYS = ("offline", "real time", "overload")
THROUGHPUT, CPU_MS = "throughput, results/s", "CPU ms per result"


class Found(Strict, frozen=True):
    """One figure: over all rounds, and in each."""

    value: float
    rounds: tuple[float, ...]


class Peer(Strict, frozen=True):
    """`environment`: the variables in its process after loading, besides the few that every peer inherits. None: not
    recorded. `cores_used`: CPU seconds per second, by way.
    """

    name: str
    ours: bool
    versions: dict[str, str]  # pinned by its requirements
    figures: dict[str, Found]
    same_answers: float  # share of the video's frames
    environment: dict[str, str] | None = None
    cores_used: dict[str, Found] = {}


class Results(Strict, frozen=True):
    """One run of all peers that run a model, side by side. `reference`: whose answers count as correct. `failed`: who
    does not run the model, and its error.
    """

    schema: Literal[2]
    title: str
    model: str
    when: str
    frames: int
    rounds: int
    seconds: float
    camera_fps: float
    overload_fps: float
    machine: Machine
    reference: str
    peers: tuple[Peer, ...]
    failed: dict[str, str]


def cores_used(figures: dict[str, Found]) -> dict[str, Found]:
    """CPU seconds per second: results per second times CPU seconds per result."""
    used = {}
    for way in WAYS:
        rate, cost_ms = figures[f"{way}: {THROUGHPUT}"], figures[f"{way}: {CPU_MS}"]
        rounds = tuple(each * ms / 1000 for each, ms in zip(rate.rounds, cost_ms.rounds, strict=True))
        used[way] = Found(statistics.median(rounds), rounds)
    return used


def winners(results: Results, figure: str) -> set[str]:
    """The best in a row, and every peer whose rounds overlap with the best's."""
    found = {peer.name: peer.figures[figure] for peer in results.peers}
    best = (max if THROUGHPUT in figure else min)(found.values(), key=lambda each: each.value)
    low, high = min(best.rounds), max(best.rounds)
    return {name for name, each in found.items() if min(each.rounds) <= high and max(each.rounds) >= low}
