"""What a bench measures, one file a scenario: each is made once, measured in rounds, and then gives its figures."""

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
    """`share` is its part of the bench's time; `round` measures one slice of it, everything loaded anew."""

    name: str
    share: float

    def __init__(self, setting: Setting) -> None: ...

    def round(self, seconds: float, /) -> None: ...

    def figures(self, pace_us: tuple[float, ...], /) -> list[Figure]:
        """After the last round. `pace_us`: what the yardstick took beside each."""


# In the order in which they are told. The last one takes hours and is run only when it is asked for.
USUAL: tuple[type[Scenario], ...] = (Parts, SingleStream, MultiStream, Offline, Live, Incremental, Cold, Power)
EVERY: tuple[type[Scenario], ...] = (*USUAL, Soak)
SCENARIOS = {each.name: each for each in EVERY}
