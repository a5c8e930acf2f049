"""mm-edge train: trains a model of the zoo and reports progress and metrics."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from mm_edge.zoo.training.loop import Run


def train(
    source: Annotated[str, typer.Argument(metavar="zoo:NAME", help="One of the models that `mm-edge zoo` lists.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Output folder; an interrupted run resumes. (default: runs/NAME)")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two minutes: little data, few steps.")] = False,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights to start from (fine-tuning); recorded in the report.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed, instead of the recipe's.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=256, help="Number of torch threads. (default: 2)")] = None,
) -> None:
    """Train one of the models that ship with mm-edge; the same command resumes an interrupted run."""
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "export")
    from mm_edge.zoo.catalog import names
    from mm_edge.zoo.training.train import train as train_model

    name = source.removeprefix("zoo:")
    if not source.startswith("zoo:") or name not in names():
        known = ", ".join(f"zoo:{model}" for model in names())
        raise UsageError(f"'{source}' is not a model of the zoo", action="mm-edge train", hint=f"Give one of: {known}")
    folder = out if out is not None else Path("runs") / (f"{name}-quick" if quick else name)
    with _Shown() as shown:
        report = train_model(
            name,
            folder,
            quick=quick,
            start=start,
            seed=seed,
            threads=threads,
            progress=shown.making,
            on_step=shown.training,
        )
    _show(report, folder)


class _Shown:
    """A progress bar with the latest figures and the remaining time; plain lines without a terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from mm_edge.console import SafeConsole

        console = SafeConsole(stderr=True, highlight=False)
        self._plain = None if console.is_terminal else console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[figures]}"), console=console)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Shown:
        if self._plain is None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._plain is None:
            self._progress.stop()

    def making(self, what: str, done: int, total: int) -> None:
        self._update(f"generating {what}", done, total, "")

    def training(self, what: str, run: Run, steps: int, figures: dict[str, float]) -> None:
        shown = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
        last = run.evaluations[-1] if run.evaluations else {}
        tuned = " ".join(f"{name} {value:.3f}" for name, value in last.items() if name in {"command", "score"})
        self._update(f"training {what}", run.step, steps, f"{shown} | tuning set: {tuned}" if tuned else shown)

    def _update(self, what: str, done: int, total: int, figures: str) -> None:
        if self._plain is not None:
            if done == total or done % max(1, total // 100) == 0:
                self._plain.print(f"  {what}: {done}/{total} {figures}", markup=False)
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, figures="")
        self._progress.update(self._tasks[what], completed=done, total=total, figures=figures)


def _show(report: dict[str, Any], folder: Path) -> None:
    """The model with all inputs and with one missing, beside single-modality models."""
    from mm_edge.cli.terminal import add, console, table

    out, tuning, alone = console(), report["tuning"], report["alone"]
    figures = [name for name in tuning if name.startswith("command")]
    shown = table("tuning set", *figures)
    add(shown, report["model"], *(f"{tuning[name]:.3f}" for name in figures))
    for baseline, own in alone.items():
        add(shown, f"only {baseline}", *(f"{own[name]:.3f}" for name in figures))
    out.print(shown)
    out.print(", ".join(f"{name} {tuning[name]:.3f}" for name in tuning if not name.startswith("command")))
    chance = report.get("chance")
    if chance is not None:
        out.print(f"majority-class baseline: {chance:.3f}")
    minutes = report["seconds"] / 60
    out.print(
        f"wrote weights, report, curves and confusion matrix to {folder}: {report['steps']} steps in {minutes:.1f} min"
    )
