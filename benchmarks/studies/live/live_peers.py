"""Live comparison with a newest-frame loop on the same camera: in real time, and with a camera three times too fast.

The speed of a machine changes within seconds, so turns are short, and each turn of ours is compared with the two plain
turns around it. Under overload, two bare engines relative to one show the attainable speed-up.
"""

from __future__ import annotations

import itertools
import statistics
from typing import TYPE_CHECKING

from mm_edge.benchmarks.bench.frames import ReadyCamera, frames
from mm_edge.benchmarks.models.vision import vision_bundle
from mm_edge.bundle.bundle import Bundle
from mm_edge.cores import usable_cores
from mm_edge.runtime.process import cpu_seconds

from .loops.plain import PlainModel, newest_wins
from .timed_run import SIZE, SLOWER, WARM_UP_S, model_ms, p, run_live, side_by_side, warm_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

KEEPS_UP_FPS, KEEPS_UP_TURNS, KEEPS_UP_S = 30.0, 6, 4.0
TOO_SLOW_TURNS, TOO_SLOW_S = 24, 1.75


class Turn:
    """One turn of a loop: ages in ms, results per second, CPU per result in ms."""

    def __init__(self, ages_ms: list[float], taken_s: list[float], cpu_s: float) -> None:
        self.ages_ms = [age for age, at in zip(ages_ms, taken_s, strict=True) if at > taken_s[0] + WARM_UP_S]
        self.rate = warm_rate(taken_s)
        self.cpu_ms = cpu_s / len(ages_ms) * 1000


def live_peers() -> dict[str, float]:
    pictures = frames(60)
    with Bundle.open(vision_bundle()) as bundle:
        graph = bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file)
        keeps_up = _compared(bundle, graph, pictures, KEEPS_UP_FPS, turns=KEEPS_UP_TURNS, seconds=KEEPS_UP_S)
        fps = SLOWER * 1000 / model_ms(graph, pictures)
        ceilings: list[float] = []

        def ceiling() -> None:
            one, all_of_them = (side_by_side(graph, pictures, TOO_SLOW_S / 2, n) for n in (1, usable_cores()))
            ceilings.append(all_of_them / one)

        too_slow = _compared(bundle, graph, pictures, fps, turns=TOO_SLOW_TURNS, seconds=TOO_SLOW_S, beside=ceiling)
    most = statistics.median(ceilings)
    return {
        **{f"keeps_up.{name}": value for name, value in keeps_up.items()},
        **{f"too_slow.{name}": value for name, value in too_slow.items()},
        "too_slow.bare_engines_ratio": most,
        "too_slow.bare_engines_ratio_least": min(ceilings),
        "too_slow.bare_engines_ratio_most": max(ceilings),
        "too_slow.share_of_bare_engines": too_slow["results_ratio"] / most,
    }


def _compared(
    bundle: Bundle,
    graph: bytes,
    pictures: list[NDArray[np.uint8]],
    fps: float,
    *,
    turns: int,
    seconds: float,
    beside: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Our turns between plain turns; `beside` is called once per turn."""

    def plain() -> Turn:
        model, before = PlainModel(graph, SIZE), cpu_seconds()
        ages, taken = newest_wins(ReadyCamera("image", pictures, fps), model, seconds)
        return Turn(ages, taken, cpu_seconds() - before)

    def own() -> Turn:
        ages, _, used = run_live(bundle, [ReadyCamera("image", pictures, fps)], seconds)
        return Turn(ages.total_ms, ages.taken_s, used)

    theirs, ours = [plain()], []
    for _ in range(turns):
        ours.append(own())
        theirs.append(plain())
        beside()
    around = [(before.rate + after.rate) / 2 for before, after in itertools.pairwise(theirs)]
    ratios = [mine.rate / their for mine, their in zip(ours, around, strict=True)]
    our_ages, their_ages = ([age for turn in each for age in turn.ages_ms] for each in (ours, theirs))
    return {
        "age_p50_ms": p(our_ages, 50),
        "age_p99_ms": p(our_ages, 99),
        "newest_wins_age_p50_ms": p(their_ages, 50),
        "newest_wins_age_p99_ms": p(their_ages, 99),
        "age_p50_ratio": p(our_ages, 50) / p(their_ages, 50),
        "results_a_second": statistics.median(turn.rate for turn in ours),
        "newest_wins_results_a_second": statistics.median(turn.rate for turn in theirs),
        "results_ratio": statistics.median(ratios),
        "results_ratio_p25": p(ratios, 25),
        "results_ratio_p75": p(ratios, 75),
        "cpu_a_result_ratio": statistics.median(turn.cpu_ms for turn in ours)
        / statistics.median(turn.cpu_ms for turn in theirs),
    }
