"""The hand-over from verification to packaging: the candidates of a model and what was verified about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mm_edge.bundle.manifest import Calibration, Family, ParityRow, Precision
    from mm_edge.export.feeds import Feed
    from mm_edge.export.split.partition import SplitModel

# How int8 for the CPU quantizes: precision/int8.py explains them.
Int8Form: TypeAlias = Literal["integers", "heavy", "products"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One part in one reduced precision, as measured. `loss` is the relative error of its worst output and sample."""

    part: str
    precision: Precision
    path: Path
    loss: float
    kept: frozenset[str] = frozenset()  # nodes that stay fp32
    ms: float | None = None
    fp32_ms: float | None = None  # of the same part, measured in turns with `ms`
    size: int = 0
    trials: int = 0
    form: Int8Form | None = None  # of int8 for the CPU
    stopped: bool = False  # the search ran out of time: more is kept in fp32 than necessary
    left_out: str = ""  # why it is not in the bundle; empty when it is
    outputs: list[Feed] | None = field(default=None, repr=False)  # for the unseen samples, while the export runs


@dataclass(frozen=True)
class VerifiedModel:
    """A split model in every precision that passed, with all that the manifest and the report state."""

    split: SplitModel
    artefacts: dict[str, dict[Precision, Path]]  # by part
    golden: Sequence[Feed]
    costs: dict[str, dict[str, float]] = field(default_factory=dict)  # milliseconds by part and precision
    fp32_sizes: dict[str, int] = field(default_factory=dict)  # bytes by part
    candidates: tuple[Candidate, ...] = ()  # all that were tried
    parity: tuple[ParityRow, ...] = ()
    preferred: dict[Family, dict[str, Precision]] = field(default_factory=dict)
    calibration: Calibration | None = None
    stopped_searches: dict[str, str] = field(default_factory=dict)  # by part and precision
    notes: tuple[str, ...] = ()
