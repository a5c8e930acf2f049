"""Exports a model: reads a source and writes one verified bundle, or raises an error and writes nothing."""

from __future__ import annotations

import errno
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import ModelProto

from mm_edge.bundle.signing import sign
from mm_edge.errors import MissingExtraError, UsageError, WorkFailedError
from mm_edge.places import cache_folder

from .data.datasets import gather_dataset
from .graphs.weights import WEIGHTS, put_aside
from .model import SourceModel
from .package.engines import Target, build_engines, load_rtx
from .package.exported import Exported
from .package.pack import pack
from .precision.candidates import make_candidates
from .precision.chain_gate import verify_candidates
from .recipe import Recipe
from .sources import FORMS
from .split.partition import split_model
from .verify.parity import TOLERANCES, tolerance_of, verify_split
from .workspace import Progress, Silent, Store, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .feeds import Feed


DISK_SPACE = 8  # times the fp32 model: its weights in every precision, in files to map and in files to pack


def export(
    source: str | SourceModel | Callable[[], SourceModel],
    target: Path,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    report: Path | None = None,
) -> Exported:
    """Exports `source` to the bundle `target`. Raises before anything is written when a check fails.

    A `SourceModel` of the caller is not modified; one that is read here is released as soon as possible.
    """
    recipe, progress, target = recipe or Recipe(), progress or Silent(), Path(target)
    check_recipe(recipe)
    with _report_full_disk(), tempfile.TemporaryDirectory(prefix="mm-edge-export-") as folder:
        workspace = Workspace(recipe, Path(folder), Store(cache_folder("export")), progress)
        with progress.step("read the source"):
            model = _read(source, workspace)
        dataset = gather_dataset(model, recipe)
        with progress.step("run the source on the unseen samples"):
            reference = [model.reference(feed) for feed in dataset.unseen]
        if not isinstance(source, SourceModel):
            model = replace(model, reference=_released)  # it may hold all weights a second time
        with progress.step("split by input"):
            split = split_model(model, recipe)
        with progress.step("verify the split"):
            verify_split(split)
        candidates = make_candidates(split, dataset, workspace)
        verified = verify_candidates(candidates, dataset, reference, workspace)
        engines = build_engines(verified, workspace) if recipe.targets else {}
        with progress.step("write and reload the bundle"):
            manifest = pack(target, verified, engines, recipe)
    workspace.store.clear()
    notes = dict.fromkeys((*model.notes, *split.notes, *dataset.notes, *verified.notes))
    exported = Exported(target, manifest, verified, tuple(notes))
    if report is not None:
        from .package.report import write_report

        write_report(report, exported)
    return exported


def _read(source: str | SourceModel | Callable[[], SourceModel], workspace: Workspace) -> SourceModel:
    """The model with its large weights in files of the workspace."""
    weights = workspace.folder / WEIGHTS
    if isinstance(source, SourceModel):
        graph = ModelProto()
        graph.CopyFrom(source.graph)
        return replace(source, graph=put_aside(graph, weights))
    model = load_source(source, workspace.recipe) if isinstance(source, str) else source()
    put_aside(model.graph, weights)
    return model


@contextmanager
def _report_full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        free = shutil.disk_usage(tempfile.gettempdir()).free
        raise WorkFailedError(
            f"{error.strerror}; {free / 1e9:.1f} GB are free in {tempfile.gettempdir()}",
            action="exporting",
            hint=f"No bundle was written. An export needs {DISK_SPACE} times the size of the model there; "
            "set TMPDIR to use another folder",
        ) from error


def _released(feed: Feed) -> Feed:
    raise RuntimeError(f"the source model was released before it was run on {sorted(feed)}")


def check_recipe(recipe: Recipe) -> None:
    """Reports what cannot succeed before the work, not after it."""
    if [target for text in recipe.targets for target in Target.read(text)]:
        load_rtx()
    if recipe.sign is not None:
        sign(b"", Path(recipe.sign))


def plan(source: str, target: Path, recipe: Recipe) -> list[str]:
    """What an export would do, as lines of text."""
    check_recipe(recipe)
    precisions = (
        ", ".join(recipe.precisions)
        if recipe.precisions
        else "fp32, fp16, int8-cpu and int8-trt, chosen by measurement"
    )
    samples = recipe.calibrate or "the source's own, if it has any"
    lines = [
        f"source      {source}",
        f"bundle      {target}" + (" (replaces the existing one)" if target.exists() else ""),
        f"split       {recipe.split}",
        f"precisions  {precisions}",
        f"samples     {samples}: {recipe.samples} to calibrate on ({recipe.method}), {recipe.unseen} to verify on,",
        f"            and up to {recipe.samples // 2} more to search on",
        "tolerances  " + ", ".join(f"{precision} {tolerance_of(recipe, precision):g}" for precision in TOLERANCES),
        f"searches    at most {recipe.search_seconds:g} s each, for nodes that must stay fp32",
        f"signed      {'with ' + recipe.sign if recipe.sign else 'no'}",
    ]
    if recipe.keep_fp32:
        lines.append(f"in fp32     {', '.join(recipe.keep_fp32)}")
    return lines + [f"engines     {target_name}" for target_name in recipe.targets]


def load_source(source: str, recipe: Recipe) -> SourceModel:
    """Reads SOURCE as the command line names it."""
    if source.startswith("zoo:"):
        try:
            from .sources.torch_module import from_zoo
        except ImportError:
            raise MissingExtraError("torch", "export") from None
        return from_zoo(source.removeprefix("zoo:"))
    if source.startswith("hf:"):
        from .sources.huggingface import from_huggingface

        return from_huggingface(source.removeprefix("hf:"), recipe)
    if source.endswith(".onnx"):
        from .sources.onnx_file import from_onnx_file

        return from_onnx_file(source, recipe)
    if ":" in source:
        from .sources.factory import from_factory

        return from_factory(source, recipe)
    raise UsageError(f"'{source}' is not a source", action="exporting", hint=f"Use one of: {FORMS}")
