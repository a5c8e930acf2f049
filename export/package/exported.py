"""The result of an export: where the bundle is, what it contains, and the tables that describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .tables import parity_table, part_table, precision_table

if TYPE_CHECKING:
    from pathlib import Path

    from mm_edge.bundle.manifest import Manifest, ParityRow
    from mm_edge.export.split.partition import SplitModel

    from .tables import Table
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
