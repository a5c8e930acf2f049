"""mm-edge build: builds and checks the engines of a bundle for this machine, ahead of the first run."""

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
    from mm_edge.runtime.engines.selection.select_engine import Settled


def build(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .mmb file or a bundle's folder.")],
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="auto (the first of them that runs here), tensorrt or tensorrt-rtx.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="auto (what the export chose for GPUs), fp32, fp16 or int8.")
    ] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="One value of the configuration; may be given again."),
    ] = None,
) -> None:
    """Build the engines of a bundle for this machine's GPU, now, and check them.

    mm-edge build robot.mmb                     so that the first run starts fast

    mm-edge build robot.mmb --engine tensorrt   this one, or say why not

    An engine is a part of the bundle, compiled for one GPU, one driver and one
    version of TensorRT: seconds to minutes of work, which mm-edge run does by
    itself at its first start. Engines are kept under a digest, and built again
    when the bundle, the driver or TensorRT changes.

    After a build every part is run on inputs that the bundle brings, and must
    give what the export gave. A part that does not is built in the next wider
    precision, and that is told. Ctrl-C stops it; what is built stays.

    For a GPU that is elsewhere: mm-edge export … --target tensorrt-rtx:sm86
    """
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig, load_config
    from mm_edge.errors import EngineError
    from mm_edge.runtime.engines.selection.select_engine import settle

    config = load_config(RunConfig, None, [*(settings or []), f"engine.name={engine}", f"engine.precision={precision}"])
    with Bundle.open(bundle, config.trust) as opened, _watching() as watch:
        settled = settle(opened, config.engine, depth=config.loop.depth, watch=watch)
        try:
            if settled.engine.family == "cpu":
                raise EngineError(
                    "; ".join(settled.not_taken()) or f"{settled.engine.name} builds nothing ahead",
                    action="building engines for this machine",
                    hint="It runs without any on the CPU: mm-edge run BUNDLE. mm-edge doctor tells what a GPU needs",
                )
            _show(opened.manifest, settled)
        finally:
            settled.close()


@contextmanager
def _watching() -> Iterator[Watch]:
    """A bar on a terminal, a line in the log now and then everywhere else."""
    from mm_edge.runtime.engines.building import Watch

    if not sys.stderr.isatty():
        yield Watch(say=_say)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Watch(tell=_Bars(progress), say=lambda text: progress.console.print(text, markup=False, highlight=False))


class _Bars:
    """One bar a build; they are told from the threads that build."""

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


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _show(manifest: Manifest, settled: Settled) -> None:
    from mm_edge.cli.terminal import add, console, table

    out, told = console(), settled.engine.describe()
    built = told.get("built", {})
    golden = {row.part: row for row in settled.golden}
    shown = table("part", "precision", "engine", "off by", "allowed")
    for part in manifest.parts:
        row = golden.get(part.name)
        off = (f"{row.relative_error:.2g}", f"{row.allowed:.2g}") if row else ("no golden values", "")
        add(shown, part.name, settled.precisions[part.name], built.get(part.name, "nothing to build"), *off)
    if chain := golden.get("chain"):
        add(shown, "all, chained", "", "", f"{chain.relative_error:.2g}", f"{chain.allowed:.2g}")
    out.print(shown)
    for line in settled.not_taken():
        out.print(f"not {line}", markup=False, highlight=False)
    for fall in settled.fell:
        out.print(f"note: {fall}", markup=False, highlight=False)
    done = "built, kept and checked" if built else "checked; it builds nothing ahead"
    out.print(f"{settled.engine.name} runs it here: {done}", markup=False, highlight=False)
