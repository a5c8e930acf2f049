"""Where one export works: its recipe, its temporary folder, its store of finished steps, its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .progress import Progress
    from .recipe import Recipe
    from .store import Store


@dataclass(frozen=True)
class Workspace:
    """What every stage is given besides the record of the stage before it."""

    recipe: Recipe
    folder: Path  # removed when the export ends
    store: Store
    progress: Progress
