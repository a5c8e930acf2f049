"""What a decoder needs besides the arrays: the geometry of the image, and the prompts in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mm_edge.sample import HeatMap


class Geometry(Protocol):
    """Maps one prepared image to its source frame.

    Coordinates are continuous: the first pixel covers 0 to 1, so its center is at 0.5 and the right edge of a frame is
    at its width.
    """

    @property
    def source_size(self) -> tuple[int, int]:
        """Height and width of the source frame."""

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """From prepared to source pixels. The result may lie outside the frame where padding was added."""


class DecodeContext(Struct, frozen=True):
    """By input name, without missing inputs. Decoders store maps for display in `maps`."""

    geometry: Mapping[str, Geometry] = field(default_factory=dict)
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    maps: dict[str, HeatMap] = field(default_factory=dict)


class Decoder(Protocol):
    """Decodes the first row of an output's tensors, by role, to plain Python values that JSON can represent."""

    name: str

    def decode(self, arrays: Mapping[str, NDArray[Any]], context: DecodeContext, /) -> Any: ...
