"""Maps between the prepared and the source image, so that boxes and points are in source pixels."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Fit: TypeAlias = Literal["stretch", "letterbox", "crop"]


class Geometry(Struct, frozen=True):
    """The rectangle `source_box` of the source image was resized to `prepared_box` of the prepared one.

    Boxes are (left, top, width, height) in whole pixels. Coordinates refer to pixel edges: 0 is the left edge of the
    first pixel, the width is the right edge of the last.
    """

    source_size: tuple[int, int]  # height, width
    prepared_size: tuple[int, int]
    source_box: tuple[int, int, int, int]
    prepared_box: tuple[int, int, int, int]

    def to_source(self, x: Any, y: Any) -> tuple[Any, Any]:
        """From prepared to source pixels. Numbers or arrays; not clipped."""
        left, top, width, height = self.source_box
        prepared_left, prepared_top, prepared_width, prepared_height = self.prepared_box
        return (
            left + (x - prepared_left) * (width / prepared_width),
            top + (y - prepared_top) * (height / prepared_height),
        )

    def to_prepared(self, x: Any, y: Any) -> tuple[Any, Any]:
        """From source to prepared pixels."""
        left, top, width, height = self.source_box
        prepared_left, prepared_top, prepared_width, prepared_height = self.prepared_box
        return (
            prepared_left + (x - left) * (prepared_width / width),
            prepared_top + (y - top) * (prepared_height / height),
        )


def fitted(fit: Fit, source: tuple[int, int], prepared: tuple[int, int]) -> Geometry:
    """Sizes are (height, width). `letterbox` shows the whole source, `crop` fills the whole image; both centered."""
    height, width = source
    prepared_height, prepared_width = prepared
    source_box, prepared_box = (0, 0, width, height), (0, 0, prepared_width, prepared_height)
    if fit == "letterbox":
        scale = min(prepared_width / width, prepared_height / height)
        prepared_box = _centred(prepared, (height * scale, width * scale))
    elif fit == "crop":
        scale = min(width / prepared_width, height / prepared_height)
        source_box = _centred(source, (prepared_height * scale, prepared_width * scale))
    return Geometry(source, prepared, source_box, prepared_box)


def _centred(outer: tuple[int, int], inner: tuple[float, float]) -> tuple[int, int, int, int]:
    height, width = (min(most, max(1, round(size))) for most, size in zip(outer, inner, strict=True))
    return (outer[1] - width) // 2, (outer[0] - height) // 2, width, height
