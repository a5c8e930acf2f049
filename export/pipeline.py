"""The export from end to end: a source in, one proven bundle out, or an error and nothing written."""

from __future__ import annotations

import errno
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import ModelProto

from mm_edge.bundle.signing import sign
from mm_edge.errors import WorkFailedError
from mm_edge.places import cache_folder

from .data.datasets import gather_data
from .graphs.weights import WEIGHTS, put_aside
from .model import SourceModel
from .package.engine_build import Target, load_rtx
from .package.engines import build_all
from .package.pack import golden_tensors, make_manifest, write_and_reload
from .package.tables import Table, parity_table, part_table, precision_table
from .precision.choose import make_artefacts
from .progress import Progress, Silent
from .recipe import TOLERANCES, Recipe
from .sources import load_source
from .split.partition import Split, split_model
from .store import Store
from .verify.chain import sources_of
from .verify.parity import gate
from .verify.proof import prove_split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mm_edge.bundle.manifest import Manifest

    from .feeds import Feed
    from .package.made import Made

ROOM = 8  # times the fp32 model: its weights in every precision, in files to be mapped and in files to be packed


@dataclass(frozen=True)
class Exported:
    """What an export gave."""

    path: Path
    manifest: Manifest
    split: Split
    made: Made
    notes: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(item.size for item in self.manifest.digests.values())

    def tables(self) -> list[Table]:
        return [part_table(self.split), precision_table(self.made), parity_table(self.manifest)]


def export(
    source: str | SourceModel | Callable[[], SourceModel],
    target: Path,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    report: Path | None = None,
) -> Exported:
    """Exports `source` to `target`. Raises before anything is written when a check fails.

    A model that is given stays whole for its owner; one that is read or made here is let go of on the way.
    """
    recipe, progress, target = recipe or Recipe(), progress or Silent(), Path(target)
    check_recipe(recipe)
    with _told_when_full(), tempfile.TemporaryDirectory(prefix="mm-edge-export-") as folder:
        with progress.step("read the source"):
            model = _read(source, recipe, Path(folder) / WEIGHTS)
        data = gather_data(model, recipe)
        with progress.step("run the source on what the rest is proven on"):
            reference = [model.reference(feed) for feed in data.unseen]
        if not isinstance(source, SourceModel):
            model = replace(model, reference=_let_go)  # what computed it may hold all weights once more
        with progress.step("split by input"):
            split = split_model(model, recipe)
        with progress.step("prove the split"):
            prove_split(model, split)
        store = Store(cache_folder("export"))
        made = make_artefacts(model, split, data, reference, recipe, Path(folder), store, progress)
        proven = [row for row in made.parity if row.precision not in made.left_out]
        gate(proven, {precision: recipe.tolerance_of(precision) for precision in TOLERANCES}, makers_of(split))
        engines = build_all(split, made, model.spec.dims, recipe, progress)
        with progress.step("write and reload the bundle"):
            states = {state.name: state.output for state in model.spec.states}
            samples = [sources_of(feed, states) for feed in data.golden]
            golden = golden_tensors(split, {name: paths["fp32"] for name, paths in made.paths.items()}, samples)
            manifest, files = make_manifest(
                model,
                split,
                made.paths,
                recipe=recipe,
                costs=made.costs,
                parity=made.parity,
                golden=golden,
                golden_count=len(samples),
                preferred=made.preferred,
                calibration=made.calibration,
                engines=engines,
                searches=made.searches,
            )
            write_and_reload(target, manifest, files, Path(recipe.sign) if recipe.sign else None)
    store.clear()
    exported = Exported(
        target, manifest, split, made, tuple(dict.fromkeys((*model.notes, *split.notes, *data.notes, *made.notes)))
    )
    if report is not None:
        from .package.report import write_report

        write_report(report, exported)
    return exported


def _read(source: str | SourceModel | Callable[[], SourceModel], recipe: Recipe, weights: Path) -> SourceModel:
    """The model with its large weights in files."""
    if isinstance(source, SourceModel):
        graph = ModelProto()
        graph.CopyFrom(source.graph)
        return replace(source, graph=put_aside(graph, weights))
    model = load_source(source, recipe) if isinstance(source, str) else source()
    put_aside(model.graph, weights)
    return model


@contextmanager
def _told_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        free = shutil.disk_usage(tempfile.gettempdir()).free
        raise WorkFailedError(
            f"{error.strerror}; {free / 1e9:.1f} GB are free in {tempfile.gettempdir()}",
            action="exporting",
            hint=f"No bundle was written. Room for {ROOM} times the model is needed there; TMPDIR names another folder",
        ) from error


def _let_go(feed: Feed) -> Feed:
    raise RuntimeError(f"the source was let go of before it was asked about {sorted(feed)}")


def check_recipe(recipe: Recipe) -> None:
    """What cannot go well is told before the work, not after it."""
    if [target for text in recipe.targets for target in Target.read(text)]:
        load_rtx()
    if recipe.sign is not None:
        sign(b"", Path(recipe.sign))


def makers_of(split: Split) -> dict[str, str]:
    """Which node makes each tensor that a part gives."""
    return {
        name: f"node '{node.name}' ({node.op_type}) of '{part.name}'"
        for part in split.parts
        for node in part.graph.graph.node
        for name in node.output
        if name in {tensor.name for tensor in part.gives}
    }


def plan(source: str, target: Path, recipe: Recipe) -> list[str]:
    """What an export would do, without doing it."""
    check_recipe(recipe)
    precisions = (
        ", ".join(recipe.precisions)
        if recipe.precisions
        else "fp32, fp16, int8-cpu and int8-trt, chosen by measurement"
    )
    samples = f"{recipe.calibrate}" if recipe.calibrate else "the source's own, if it has any"
    lines = [
        f"source      {source}",
        f"bundle      {target}" + (" (replaces the one there)" if target.exists() else ""),
        f"split       {recipe.split}",
        f"precisions  {precisions}",
        f"samples     {samples}: {recipe.samples} to calibrate on by {recipe.method}, {recipe.unseen} to prove on,",
        "            and half as many again for the searches, where there are so many",
        "tolerances  " + ", ".join(f"{precision} {recipe.tolerance_of(precision):g}" for precision in TOLERANCES),
        f"searches    {recipe.search_seconds:g} s at most for each, of what must stay fp32",
        f"signed      {'by ' + recipe.sign if recipe.sign else 'no'}",
    ]
    if recipe.keep_fp32:
        lines.append(f"in fp32     {', '.join(recipe.keep_fp32)}")
    return lines + [f"engines     {target_name}" for target_name in recipe.targets]
