"""The export from end to end: a source in, one proven bundle out, or an error and nothing written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .artefacts import make_artefacts
from .chain import sources_of
from .datasets import gather_data
from .pack import golden_tensors, make_manifest, write_and_reload
from .parity import gate
from .partition import Split, split_model
from .progress import Progress, Silent
from .proof import prove_split
from .recipe import TOLERANCES, Recipe
from .runner import Runner
from .sources import load_source

if TYPE_CHECKING:
    from mm_edge.manifest import Manifest

    from .model import SourceModel


@dataclass(frozen=True)
class Exported:
    """What an export gave."""

    path: Path
    manifest: Manifest
    split: Split
    notes: tuple[str, ...]


def export(source: str | SourceModel, target: Path, recipe: Recipe | None = None, progress: Progress | None = None) -> Exported:
    """Exports `source` to `target`. Raises before anything is written when a check fails."""
    recipe, progress = recipe or Recipe(), progress or Silent()
    with tempfile.TemporaryDirectory(prefix="mm-edge-export-") as folder:
        work = Path(folder)
        with progress.step("read the source"):
            model = load_source(source, recipe) if isinstance(source, str) else source
        with progress.step("split by input"):
            split = split_model(model, recipe)
        data = gather_data(model, recipe)
        with progress.step("prove the parts"):
            prove_split(model, split)
        made = make_artefacts(model, split, data, recipe, work, progress)
        gate(made.parity, {precision: recipe.tolerance_of(precision) for precision in TOLERANCES})
        with progress.step("write and reload the bundle"):
            runners = {part.name: Runner(made.paths[part.name]["fp32"]) for part in split.parts}
            samples = [sources_of(feed, _states(model)) for feed in data.golden]
            golden = golden_tensors(split, runners, samples)
            manifest, files = make_manifest(
                model, split, made.paths, recipe=recipe, costs=made.costs, parity=made.parity, golden=golden, golden_count=len(samples),
                preferred=made.preferred, calibration=made.calibration,
            )
            write_and_reload(Path(target), manifest, files, Path(recipe.sign) if recipe.sign else None)
    return Exported(Path(target), manifest, split, (*model.notes, *split.notes, *data.notes, *made.notes))


def _states(model: SourceModel) -> dict[str, str]:
    return {state.name: state.output for state in model.spec.states}
