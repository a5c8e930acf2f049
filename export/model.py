"""What a source hands over: one fp32 graph that was compared with its origin, and the samples of the export."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from onnx import ModelProto

    from mm_edge.spec import ModelSpec

    from .feeds import Feed


@dataclass
class Labelled:
    """A feed whose right answers are known: `labels` by output name."""

    feed: Feed
    labels: dict[str, object]


@dataclass
class SourceModel:
    """What the rest of the export works on. `reference` is the origin itself, run on one feed."""

    spec: ModelSpec
    graph: ModelProto
    reference: Callable[[Feed], Feed]
    origin: str  # as the user named it
    files: dict[str, bytes | Path] = field(default_factory=dict)  # tokenizers, by their name in the bundle
    vocabulary: dict[str, int] = field(default_factory=dict)  # how many ids a text input may hold
    samples: Callable[[int], Iterable[Feed]] | None = None  # the source's own data to calibrate and verify on
    labelled: Callable[[int], Iterable[Labelled]] | None = None
    fixed_batch: bool = False
    notes: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)


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
