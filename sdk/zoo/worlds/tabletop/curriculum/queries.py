"""What a phrase names in a scene: a clearly visible body, or an absent one that resembles a present one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mm_edge.zoo.worlds.tabletop.cache import EMPTY, LEAST_PIXELS, UNCLEAR
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.scene import COLORS

if TYPE_CHECKING:
    from mm_edge.zoo.arrays import Ints, Picture

ANY_COLOR, ANY_SHAPE = len(COLORS), len(SHAPES)
DRAWS = 40


class Seen(NamedTuple):
    """A body that is at least partly visible; `clear`: enough to query it."""

    slot: int
    shape: int
    color: int
    clear: bool


class Query(NamedTuple):
    """ANY_COLOR and ANY_SHAPE mean that the phrase does not name it; `slot` None: the body is absent."""

    color: int
    shape: int
    slot: int | None

    def fits(self, body: Seen) -> bool:
        return self.color in {body.color, ANY_COLOR} and self.shape in {body.shape, ANY_SHAPE}


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


def ask(rng: np.random.Generator, bodies: list[Seen], present: float, whole_name: float) -> Query:
    """With probability `present` a present body, if one can be named unambiguously; otherwise an absent one."""
    if rng.random() < present:
        for pick in rng.permutation(len(bodies)):
            if bodies[pick].clear and (query := _present(rng, bodies, bodies[pick], whole_name)):
                return query
    return _absent(rng, bodies, whole_name)


def _present(rng: np.random.Generator, bodies: list[Seen], body: Seen, whole_name: float) -> Query | None:
    first = 0 if rng.random() < whole_name else int(rng.integers(1, 3))
    for kind in (first, 0):
        query = _name(kind, body.color, body.shape, body.slot)
        if [other.slot for other in bodies if query.fits(other)] == [body.slot]:
            return query
    return None


def _absent(rng: np.random.Generator, bodies: list[Seen], whole_name: float) -> Query:
    for _ in range(DRAWS):
        color, shape = int(rng.integers(len(COLORS))), int(rng.integers(len(SHAPES)))
        if bodies and rng.random() < 0.6:  # hard negatives: a present colour or shape
            near = bodies[rng.integers(len(bodies))]
            color, shape = (near.color, shape) if rng.random() < 0.5 else (color, near.shape)
        kind = 0 if rng.random() < whole_name else int(rng.integers(1, 3))
        query = _name(kind, color, shape, None)
        if not any(query.fits(body) for body in bodies):
            return query
    raise ValueError(f"no unused name in {DRAWS} draws, although six bodies leave some of 36 names unused")


def _name(kind: int, color: int, shape: int, slot: int | None) -> Query:
    """Kind 0 names colour and shape, 1 the colour, 2 the shape."""
    return Query(ANY_COLOR if kind == 2 else color, ANY_SHAPE if kind == 1 else shape, slot)
