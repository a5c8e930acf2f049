"""An image in the form that its decoder outputs: brightness and colour in separate planes of different sizes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


class Colours(NamedTuple):
    """How brightness and colour become red, green and blue: float32 [3, 4], as cv2.transform takes it."""

    bgr: NDArray[np.float32]
    rgb: NDArray[np.float32]


class Planes:
    """An alternative to a BGR array: to get the model's small image, the planes are resized first and the result is
    converted, which costs a fraction of converting all pixels of the large image.

    The planes are read-only views of the decoder's memory and keep it alive. `np.asarray` converts this to BGR and
    leaves an array as it is, so that a reader of whole images need not distinguish the two.
    """

    __slots__ = ("_whole", "colours", "planes", "shape")

    def __init__(
        self, planes: Sequence[NDArray[np.uint8]], colours: Colours, whole: Callable[[], NDArray[np.uint8]]
    ) -> None:
        """`planes`: brightness and its two differences of colour, the latter two possibly smaller. `whole` makes BGR
        of them; any thread may call it.
        """
        self.planes, self.colours, self._whole = planes, colours, whole
        self.shape = (*planes[0].shape, 3)

    def bgr(self) -> NDArray[np.uint8]:
        """The whole picture, uint8 [height, width, 3], made anew each time."""
        return self._whole()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a picture in planes becomes an array only by a conversion")
        return self.bgr().astype(dtype or np.uint8, copy=False)

    def within(self, left: int, top: int, width: int, height: int) -> list[NDArray[np.uint8]]:
        """The planes inside a box of the picture; colour that the box cuts through is kept."""
        parts = []
        for plane in self.planes:
            down, across = (round(whole / own) for whole, own in zip(self.shape, plane.shape, strict=False))
            rows = slice(top // down, -(-(top + height) // down))
            parts.append(plane[rows, left // across : -(-(left + width) // across)])
        return parts


@cache
def colours(red: float, blue: float, *, full: bool) -> Colours:
    """`red`, `blue`: their shares of the brightness. `full`: black is 0 and white 255, where they usually are 16 and
    235, and colours have 224 levels.
    """
    green = 1 - red - blue
    low, levels, colour_levels = (0, 255, 255) if full else (16, 219, 224)
    of_brightness, of_colour = 255 / levels, 2 * 255 / colour_levels
    to_blue, to_red = of_colour * (1 - blue), of_colour * (1 - red)
    mix = np.array(
        [
            [of_brightness, to_blue, 0],
            [of_brightness, -to_blue * blue / green, -to_red * red / green],
            [of_brightness, 0, to_red],
        ]
    )
    bgr = np.column_stack([mix, -mix @ [low, 128, 128]]).astype(np.float32)
    return Colours(bgr, np.ascontiguousarray(bgr[::-1]))
