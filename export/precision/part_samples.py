"""The samples of the searches: feeds of the parts, and the outputs of the fp32 parts for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.export.feeds import Array, Feed
    from mm_edge.export.split.partition import PartGraph

    Pairs: TypeAlias = list[tuple[Feed, Feed]]  # a feed, and the outputs of the fp32 part for it


@dataclass(frozen=True)
class Fp32Parts:
    """The fp32 parts as files, and all values of their chain for the samples, by reference."""

    paths: dict[str, Path]
    unseen: list[dict[str, Array]]
    calibration: list[dict[str, Array]]
    spare: list[dict[str, Array]]

    @property
    def searched_on(self) -> list[dict[str, Array]]:
        return [*self.spare, *self.calibration] or self.unseen


@dataclass(frozen=True)
class PartSamples:
    """The feeds of one part, and the outputs of the fp32 part for them."""

    calibration: list[Feed]
    unseen: list[Feed]
    unseen_outputs: list[Feed]
    searched_on: Pairs  # a search uses the first ones

    @classmethod
    def of(cls, part: PartGraph, fp32: Fp32Parts) -> PartSamples:
        return cls(
            calibration=[part.feed(values) for values in fp32.calibration],
            unseen=[part.feed(values) for values in fp32.unseen],
            unseen_outputs=[part.outputs(values) for values in fp32.unseen],
            searched_on=[(part.feed(values), part.outputs(values)) for values in fp32.searched_on],
        )
