"""What a decoder is told beside the arrays: where the picture came from, and the prompts that were in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.sample import HeatMap


class Geometry(Protocol):
    """How one prepared picture lies in its source frame.

    Coordinates are continuous: the first pixel covers 0 to 1, so that its middle is at 0.5 and the right edge of a
    frame is at its width.
    """

    @property
    def source_size(self) -> tuple[int, int]:
        """Height and width of the source frame."""

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """From prepared pixels to pixels of the source frame. May lie outside it, where padding was added."""


class DecodeContext(Struct, frozen=True):
    """By the input's name; an input that was missing is not there. In `maps` decoders leave what may be drawn."""

    geometry: Mapping[str, Geometry] = field(default_factory=dict)
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    maps: dict[str, HeatMap] = field(default_factory=dict)


class Decoder(Protocol):
    """Turns the first row of an output's tensors, by role, into plain Python that JSON can hold."""

    name: str

    def decode(self, arrays: Mapping[str, NDArray[Any]], context: DecodeContext, /) -> Any: ...
