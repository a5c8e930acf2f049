"""Compares the speed of two loaded engines on golden inputs, in turns."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from mm_edge.runtime.engines.chain import Chain
from mm_edge.runtime.engines.golden_values import load_golden

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Manifest
    from mm_edge.runtime.engines.selection.select_engine import SelectedEngine

WARM_UP = 3
FEWEST_ROUNDS, MOST_ROUNDS = 7, 41


def parts_after(manifest: Manifest, name: str) -> list[str]:
    """The parts that run again when the input `name` has a new sample."""
    reached, found = {f"input:{name}"}, []
    for part in manifest.parts:
        if any(read.source.partition(".")[0] in reached for read in part.reads.values()):
            reached.add(f"part:{part.name}")
            found.append(part.name)
    return found


class Duel:
    """`first` and `second` take turns in the calling thread, so that what else runs here slows both."""

    def __init__(self, bundle: Bundle, first: SelectedEngine, second: SelectedEngine) -> None:
        self._manifest = manifest = bundle.manifest
        if manifest.golden is None:
            raise ValueError("the bundle has no golden values")
        self._golden = load_golden(bundle, manifest.golden)
        self._first, self._second = (
            Chain(manifest, selected.engine, selected.executables) for selected in (first, second)
        )

    def time_ratio(self, driver: str, seconds: float, stopped: Callable[[], bool]) -> float:
        """How long the second takes for what one sample of the driver costs, over what the first takes."""
        only = parts_after(self._manifest, driver)
        for chain in (self._first, self._second):
            chain.put(self._golden, 0)
            for _ in range(WARM_UP):
                chain.run()
        ratios: list[float] = []
        until_s = time.monotonic() + seconds
        while len(ratios) < MOST_ROUNDS and (len(ratios) < FEWEST_ROUNDS or time.monotonic() < until_s):
            if stopped():
                break
            ratios.append(1 / (_seconds(self._first, only) / _seconds(self._second, only)))
        return statistics.median(ratios) if ratios else float("inf")


def _seconds(chain: Chain, only: list[str]) -> float:
    began = time.perf_counter()
    chain.run(only)
    return time.perf_counter() - began
