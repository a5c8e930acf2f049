"""The result of an export: where the bundle is, what it contains, and the tables that describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.bundle.manifest import Manifest, ParityRow
    from mm_edge.export.split.partition import SplitModel

    from .verified_model import Candidate, VerifiedModel


@dataclass(frozen=True)
class Exported:
    """A bundle that was written, reloaded and checked."""

    path: Path
    manifest: Manifest
    verified: VerifiedModel
    notes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files in the bundle."""
        return sum(item.size for item in self.manifest.digests.values())

    @property
    def parity(self) -> tuple[ParityRow, ...]:
        return self.manifest.parity

    @property
    def split(self) -> SplitModel:
        return self.verified.split

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every reduced precision that was tried, packed or left out."""
        return self.verified.candidates

    def tables(self) -> list[Table]:
        return [part_table(self.split), precision_table(self.verified), parity_table(self.manifest)]


Table: TypeAlias = tuple[
    tuple[str, ...], list[tuple[str, ...]]
]  # the head, whose first cell names the table, and the rows


def part_table(split: SplitModel) -> Table:
    """The parts: their size, their outputs, and the work that is skipped while only one input changes."""
    rows: list[tuple[str, ...]] = []
    for part in split.parts:
        owner = part.name.removeprefix("encode_")
        outputs = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in part.gives)
        saved = f"{split.saved_when_only(owner):.0%}" if part.kind == "encode" else ""
        rows.append((part.name, f"{part.parameters:,}", f"{part.flops:,}", outputs, saved))
    return ("part", "parameters", "operations", "outputs", "work saved while only this input changes"), rows


def precision_table(verified: VerifiedModel) -> Table:
    """Every candidate: its time, its error, how many nodes stay fp32."""
    rows: list[tuple[str, ...]] = [
        (part, "fp32", f"{ms['fp32']:.3f}", "", "", f"{verified.fp32_sizes[part]:,}", "")
        for part, ms in verified.costs.items()
    ]
    for item in verified.candidates:
        chosen = [family for family, parts in verified.preferred.items() if parts.get(item.part) == item.precision]
        note = item.left_out or ("preferred on the " + " and ".join(chosen) if chosen else "")
        ms = f"{item.ms:.3f}" if item.ms is not None else "not measured"
        rows.append((item.part, item.precision, ms, f"{item.loss:.2e}", str(len(item.kept)), f"{item.size:,}", note))
    return ("part", "precision", "ms", "relative error", "nodes kept fp32", "bytes", "note"), sorted(rows)


def parity_table(manifest: Manifest) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            row.scope,
            row.precision,
            row.tensor,
            f"{row.max_error:.2e}",
            f"{row.cosine:.6f}",
            f"{row.relative_error:.2e}",
            "" if row.agreement is None else f"{row.agreement:.0%}",
            "" if row.accuracy is None else f"{row.accuracy:.1%}",
            f"{row.samples} {row.data}",
        )
        for row in manifest.parity
        if row.scope == "chain"
    ]
    return (
        "parity",
        "precision",
        "tensor",
        "max error",
        "cosine",
        "relative error",
        "same answer",
        "accuracy",
        "samples",
    ), rows
