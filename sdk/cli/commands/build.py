"""mm-edge build: builds and verifies the engines of a bundle for this machine before the first run."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from mm_edge.bundle.manifest import Manifest
    from mm_edge.runtime.engines.building import Step, Watch
    from mm_edge.runtime.engines.selection.select_engine import SelectedEngine


def build(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .mmb file or a bundle's folder.")],
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="auto (the first that runs here), tensorrt or tensorrt-rtx.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="auto (what the export chose for GPUs), fp32, fp16 or int8.")
    ] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Set one configuration value; repeatable."),
    ] = None,
) -> None:
    """Build the engines of a bundle for this machine's GPU and verify them.

    mm-edge build robot.mmb                     makes the first run start fast

    mm-edge build robot.mmb --engine tensorrt   this engine, or an error

    An engine is a part of the bundle, compiled for one GPU, one driver and one
    version of TensorRT. That takes seconds to minutes; mm-edge run does it at
    its first start. Engines are cached by digest, and rebuilt when the bundle,
    the driver or TensorRT changes.

    After a build every part runs on the golden inputs of the bundle and must
    reproduce the export's outputs. A part that does not is built in the next
    wider precision, and the fallback is reported. Ctrl-C stops the build;
    engines that are complete stay in the cache.

    To build for another GPU: mm-edge export … --target tensorrt-rtx:sm86
    """
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig, load_config
    from mm_edge.errors import EngineError
    from mm_edge.runtime.engines.selection.choice import DEFAULT_DEPTH
    from mm_edge.runtime.engines.selection.select_engine import select_engine

    config = load_config(RunConfig, None, [*(settings or []), f"engine.name={engine}", f"engine.precision={precision}"])
    with Bundle.open(bundle, config.trust) as opened, _watching() as watch:
        selected = select_engine(opened, config.engine, depth=config.loop.depth or DEFAULT_DEPTH, watch=watch)
        try:
            if selected.engine.family == "cpu":
                raise EngineError(
                    "; ".join(selected.skipped_by_reason()) or f"{selected.engine.name} needs no build",
                    action="building engines for this machine",
                    hint="The CPU needs no build: mm-edge run BUNDLE. mm-edge doctor lists what a GPU needs",
                )
            _show(opened.manifest, selected)
        finally:
            selected.close()


@contextmanager
def _watching() -> Iterator[Watch]:
    """A progress bar on a terminal, otherwise a log line from time to time."""
    from mm_edge.runtime.engines.building import Watch

    if not sys.stderr.isatty():
        yield Watch(announce=_print)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from mm_edge.console import SafeConsole

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn())
    with Progress(*columns, console=SafeConsole(stderr=True), transient=True) as progress:
        yield Watch(
            report=_Bars(progress), announce=lambda text: progress.console.print(text, markup=False, highlight=False)
        )


class _Bars:
    """One bar per build. Called from the threads that build."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        if step.label not in self._tasks:
            self._tasks[step.label] = self._progress.add_task(step.label, total=1.0, left="")
        left = "" if step.left_s is None else f"about {step.left_s:.0f} s left"
        self._progress.update(
            self._tasks[step.label], completed=step.share, description=f"{step.label}: {step.phase}", left=left
        )


def _print(text: str) -> None:
    typer.echo(text, err=True)


def _show(manifest: Manifest, selected: SelectedEngine) -> None:
    from mm_edge.cli.terminal import add, console, table

    out, built = console(), selected.engine.describe().get("built", {})
    golden = {row.part: row for row in selected.golden}
    rows = table("part", "precision", "engine", "error", "allowed")
    for part in manifest.parts:
        row = golden.get(part.name)
        off = (f"{row.relative_error:.2g}", f"{row.allowed:.2g}") if row else ("no golden values", "")
        add(rows, part.name, selected.precisions[part.name], built.get(part.name, "nothing to build"), *off)
    if chain := golden.get("chain"):
        add(rows, "all, chained", "", "", f"{chain.relative_error:.2g}", f"{chain.allowed:.2g}")
    out.print(rows)
    for line in selected.skipped_by_reason():
        out.print(f"skipped: {line}", markup=False, highlight=False)
    for fallback in selected.fallbacks:
        out.print(f"fallback: {fallback}", markup=False, highlight=False)
    done = "built, cached and verified" if built else "verified; it needs no build"
    out.print(f"{selected.engine.name} runs the bundle: {done}", markup=False, highlight=False)
