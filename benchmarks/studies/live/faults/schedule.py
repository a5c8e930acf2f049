"""The schedule of a chaos run: for each part of the run that can fail, when it does, how, and for how long."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

FIRST_S = 0.5
LONGEST_GAP_S = 12.0
GAPS = 6.0  # at least so many in a short run
# Parts of the run fail independently of each other, and each of them in turns with each of its faults. Seconds.
LANES: dict[str, dict[str, tuple[float, float]]] = {
    "camera": {"camera_stall": (1.0, 3.0), "camera_loss": (0.3, 3.0)},
    "mic": {"mic_loss": (0.8, 4.0)},
    "engine": {"part_raises": (0.0, 0.0)},
    "sink": {"sink_blocks": (1.0, 3.0)},
    "disk": {"disk_full": (0.2, 1.0)},
    "page": {"client_flood": (0.0, 0.0)},
}


class Fault(Struct, frozen=True):
    """A fault that begins `at_s` after the start, or when its part has recovered from the one before."""

    kind: str
    at_s: float
    seconds: float


def schedule(seed: int, seconds: float) -> dict[str, list[Fault]]:
    """The faults by part, the same for the same arguments."""
    chance, gap_s = np.random.default_rng(seed), min(LONGEST_GAP_S, seconds / GAPS)
    faults: dict[str, list[Fault]] = {}
    for lane, kinds in LANES.items():
        names, at_s = chance.permutation(list(kinds)), FIRST_S + chance.uniform(0.0, gap_s)
        of_lane = faults.setdefault(lane, [])
        while at_s < seconds:
            name = str(names[len(of_lane) % len(names)])
            fault = Fault(name, round(at_s, 3), round(chance.uniform(*kinds[name]), 3))
            of_lane.append(fault)
            at_s += fault.seconds + gap_s * chance.uniform(0.5, 1.5)
    return faults
