"""The samples of an export: what is calibrated on, searched on and verified on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .feeds import Feed
    from .model import Labelled


@dataclass(frozen=True)
class Dataset:
    """Feeds of batch 1. `calibration` is empty when there are no real samples.

    `spare` samples are neither calibrated on nor verified on. The searches use them, because calibration samples never
    leave the calibrated ranges. A small set has none.
    """

    calibration: Sequence[Feed]
    unseen: Sequence[Feed]
    kind: Literal["unseen", "random"]
    source: str
    golden: Sequence[Feed]
    labelled: Sequence[Labelled] = ()
    notes: tuple[str, ...] = ()
    spare: Sequence[Feed] = ()
    digest: str = ""  # of every byte of `calibration`
