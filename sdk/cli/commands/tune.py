"""mm-edge tune: measures how a bundle runs best on this CPU, and remembers it for `mm-edge run`."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mm_edge.benchmarks.tune.tune import Result

LEAST_BUDGET_S = 5.0


def tune(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]",
            show_default=False,
            help="A .mmb file or a bundle's folder. (default: the bundle that ships)",
        ),
    ] = None,
    goal: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="GOAL",
            help="latency: the age of a result at 30 images per second. throughput: results per second from a file. "
            "power: CPU time per result at 30 images per second.",
        ),
    ] = "latency",
    budget_s: Annotated[
        float, typer.Option("--budget-s", metavar="N", min=LEAST_BUDGET_S, max=3600, help="Seconds to spend.")
    ] = 30.0,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="A configuration, for its keys of trust.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Set one configuration value; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the choice and every trial as JSON.")] = False,
) -> None:
    """Measure which engine, precision, threads and depth run a bundle best on this CPU.

    mm-edge tune robot.mmb                         the lowest age of results, in 30 seconds

    mm-edge tune robot.mmb --for throughput        for files: the most results per second

    Every way is tried under the load of a live run: images arrive as JPEG and
    are decoded beside the model. A way that fails the golden check, or whose
    outputs decode to other answers than the export's, is not used.

    The choice is stored for this bundle, processor and library versions.
    mm-edge run and mm-edge bench use it unless an engine, a precision or
    threads are requested; mm-edge doctor lists it. Run tune again to replace it.
    """
    from mm_edge.benchmarks.tune.tune import Search
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig, load_config
    from mm_edge.errors import UsageError
    from mm_edge.runtime.engines.selection.tuned import GOALS, remember_choice
    from mm_edge.shipped import default_bundle

    wanted = next((known for known in GOALS if known == goal), None)
    if wanted is None:
        raise UsageError(f"expected {', '.join(GOALS)}, got '{goal}'", action="reading --for")
    trust = load_config(RunConfig, config, settings or []).trust
    with Bundle.open(bundle or default_bundle(), trust) as opened, _quiet(), _progress(budget_s) as progress:
        result = Search(opened, wanted, budget_s, progress).run()
        remember_choice(opened, result.tuned)
    if json:
        from mm_edge.cli.terminal import print_json

        print_json(result)
    else:
        _show(result)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the log of the runs that the search starts; --debug shows it."""
    import logging

    runtime = logging.getLogger("mm_edge.runtime")
    before = runtime.level
    if not runtime.isEnabledFor(logging.DEBUG):
        runtime.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        runtime.setLevel(before)


@contextmanager
def _progress(budget_s: float) -> Iterator[Callable[[float, str], None]]:
    """A progress bar on a terminal's stderr; nothing without a terminal."""
    import sys

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from mm_edge.console import SafeConsole

    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=SafeConsole(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("loading", total=budget_s)
        yield lambda spent_s, trial: bar.update(task, completed=min(spent_s, budget_s), description=trial)


def _show(result: Result) -> None:
    from mm_edge.cli.terminal import add, console, table

    out = console()
    made = table("engine", "precision", "threads", "depth", "age p50 ms", "p99 ms", "results/s", "CPU ms", "error", "")
    for trial in result.trials:
        choice = trial.choice
        way = [" ".join([choice.engine, str(choice.options.get("precision", ""))]), choice.precision]
        way += [str(choice.threads or "auto"), str(choice.depth)]
        chosen = "chosen" if choice == result.tuned.choice else trial.why_not
        figures = ["", "", "", "", ""]
        if not trial.why_not:
            figures = [f"{trial.p50_ms:.2f}", f"{trial.p99_ms:.2f}", f"{trial.per_s:.1f}", f"{trial.cpu_ms:.2f}"]
            figures.append("" if trial.loss is None else f"{trial.loss:.2g}")
        add(made, *way, *figures, chosen)
    out.print(made)
    out.print()
    tuned = result.tuned
    unit = {"latency": "age p50", "throughput": "time per result", "power": "CPU time per result"}[tuned.goal]
    gained = "no way is faster than the default" if tuned.gain == 1.0 else f"{unit} {tuned.gain:.2f} of the default's"
    out.print(f"for {tuned.goal}: {tuned.choice} ({gained})", markup=False, style="bold")
    out.print("mm-edge run and mm-edge bench use this choice from now on", markup=False, style="bright_black")
