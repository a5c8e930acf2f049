"""What an export tells its user, as tables of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mm_edge.bundle.manifest import Manifest
    from mm_edge.export.split.partition import Split

    from .made import Made

Table: TypeAlias = tuple[
    tuple[str, ...], list[tuple[str, ...]]
]  # the head, whose first cell names the table, and the rows


def part_table(split: Split) -> Table:
    """The parts: their size, what crosses between them, and what is saved while nothing else changes."""
    rows: list[tuple[str, ...]] = []
    for part in split.parts:
        owner = part.name.removeprefix("encode_")
        gives = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in part.gives)
        saved = f"{split.saved_when_only(owner):.0%}" if part.kind == "encode" else ""
        rows.append((part.name, f"{part.parameters:,}", f"{part.flops:,}", gives, saved))
    return ("parts", "parameters", "operations", "gives", "work saved while only this input changes"), rows


def precision_table(made: Made) -> Table:
    """Every candidate: its time, its loss, what had to stay fp32."""
    rows: list[tuple[str, ...]] = [
        (part, "fp32", f"{ms['fp32']:.3f}", "", "", f"{made.sizes[part]:,}", "") for part, ms in made.costs.items()
    ]
    for item in made.candidates:
        chosen = [family for family, parts in made.preferred.items() if parts.get(item.part) == item.precision]
        note = item.note or ("preferred on the " + " and ".join(chosen) if chosen else "")
        ms = f"{item.ms:.3f}" if item.ms is not None else "not measured"
        rows.append((item.part, item.precision, ms, f"{item.loss:.2e}", str(len(item.kept)), f"{item.size:,}", note))
    return ("part", "precision", "ms", "relative error", "nodes kept fp32", "bytes", ""), sorted(rows)


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
