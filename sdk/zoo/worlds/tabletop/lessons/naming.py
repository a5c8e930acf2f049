"""What a phrase asks for in a scene: a body that is there and clear, or one that is not there but nearly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import EMPTY, LEAST_PIXELS, UNCLEAR
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.scene import COLORS

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Ints, Picture

UNTOLD_COLOR, UNTOLD_SHAPE = len(COLORS), len(SHAPES)
DRAWS = 40


class Seen(NamedTuple):
    """A body of which something is to be seen; `clear`: enough to ask for it."""

    slot: int
    shape: int
    color: int
    clear: bool


class Asked(NamedTuple):
    """The last number of colours and of shapes stands for "not told"; `slot` None: it is not there."""

    color: int
    shape: int
    slot: int | None

    def fits(self, body: Seen) -> bool:
        return self.color in {body.color, UNTOLD_COLOR} and self.shape in {body.shape, UNTOLD_SHAPE}


def bodies_in(ids: Picture, things: Ints) -> list[Seen]:
    pixels = np.bincount(ids.ravel(), minlength=len(things) + 1)[1 : len(things) + 1]
    found = []
    for slot, (shape, color) in enumerate(things.astype(int).tolist()):
        if shape == EMPTY or pixels[slot] == 0:
            continue
        clear = shape > EMPTY
        known = (shape, color) if clear else (UNCLEAR - shape, UNCLEAR - color)
        found.append(Seen(slot, *known, clear and bool(pixels[slot] >= LEAST_PIXELS)))
    return found


def ask(rng: np.random.Generator, bodies: list[Seen], present: float, whole_name: float) -> Asked:
    """With this probability a body that is there, if one can be named without doubt; else one that is not."""
    if rng.random() < present:
        for pick in rng.permutation(len(bodies)):
            if bodies[pick].clear and (asked := _present(rng, bodies, bodies[pick], whole_name)):
                return asked
    return _absent(rng, bodies, whole_name)


def _present(rng: np.random.Generator, bodies: list[Seen], body: Seen, whole_name: float) -> Asked | None:
    first = 0 if rng.random() < whole_name else int(rng.integers(1, 3))
    for kind in (first, 0):
        asked = _name(kind, body.color, body.shape, body.slot)
        if [other.slot for other in bodies if asked.fits(other)] == [body.slot]:
            return asked
    return None


def _absent(rng: np.random.Generator, bodies: list[Seen], whole_name: float) -> Asked:
    for _ in range(DRAWS):
        color, shape = int(rng.integers(len(COLORS))), int(rng.integers(len(SHAPES)))
        if bodies and rng.random() < 0.6:  # nearly there: its colour with another shape, or its shape in another colour
            near = bodies[rng.integers(len(bodies))]
            color, shape = (near.color, shape) if rng.random() < 0.5 else (color, near.shape)
        kind = 0 if rng.random() < whole_name else int(rng.integers(1, 3))
        asked = _name(kind, color, shape, None)
        if not any(asked.fits(body) for body in bodies):
            return asked
    raise ValueError(f"six bodies leave some of 36 names free; none was found in {DRAWS} draws")


def _name(kind: int, color: int, shape: int, slot: int | None) -> Asked:
    """Kind 0 tells colour and shape, 1 the colour, 2 the shape."""
    return Asked(UNTOLD_COLOR if kind == 2 else color, UNTOLD_SHAPE if kind == 1 else shape, slot)
