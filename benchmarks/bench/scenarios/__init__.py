"""The scenarios of the bench, one per file: created once, measured in rounds, then summarized as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .cold import Cold
from .incremental import Incremental
from .live import Live
from .multi_stream import MultiStream
from .offline import Offline
from .parts import Parts
from .power import Power
from .single_stream import SingleStream
from .soak import Soak

if TYPE_CHECKING:
    from mm_edge.benchmarks.bench.figure import Figure

    from .setting import Setting


class Scenario(Protocol):
    """`share` is its share of the time; `round` measures one slice of it and loads everything again."""

    name: str
    share: float

    def __init__(self, setting: Setting) -> None: ...

    def round(self, seconds: float, /) -> None: ...

    def figures(self, pace_us: tuple[float, ...], /) -> list[Figure]:
        """After the last round. `pace_us`: the reference timing of each round."""


# In the order of the report. Soak takes hours and runs only if requested.
DEFAULT: tuple[type[Scenario], ...] = (Parts, SingleStream, MultiStream, Offline, Live, Incremental, Cold, Power)
EVERY: tuple[type[Scenario], ...] = (*DEFAULT, Soak)
SCENARIOS = {each.name: each for each in EVERY}
