"""mm-edge bench: measures a bundle on this machine and compares it with a baseline and budgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mm_edge.benchmarks.bench.figure import Report
    from mm_edge.config import RunConfig


def bench(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]",
            show_default=False,
            help="A .mmb file or a bundle's folder. (default: the bundle that ships)",
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="parts, single-stream, multi-stream, offline, live, incremental, cold, power, soak, or all "
            "(without soak); repeatable.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="N", min=1.0, help="Total measuring time, without loading. (default: 90)")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="20 seconds, with wider intervals.")] = False,
    rounds: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, max=1000, help="Number of rounds; more give narrower intervals. (default: 6)"),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, onnxruntime[:PROVIDER], openvino, tensorrt or tensorrt-rtx."),
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="NAME", help="auto, fp32, fp16 or int8.")] = None,
    take: Annotated[Path | None, typer.Option(metavar="FOLDER", help="A take for the `offline` scenario.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the full report as JSON.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report as an HTML page with plots.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with the JSON of an earlier run; exit code 1 on a regression."),
    ] = None,
    budgets: Annotated[
        bool, typer.Option("--budgets", help="Check the budgets; exit code 1 if one is exceeded.")
    ] = False,
    ratios: Annotated[
        bool, typer.Option("--ratios", help="Check only the budgets that do not depend on the machine's speed.")
    ] = False,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append this run to a history file, which --html plots.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Configuration file (docs/configuration.md).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Set one configuration value; repeatable."),
    ] = None,
) -> None:
    """Measure a bundle on this machine.

    mm-edge bench                                   the default bundle, under two minutes

    mm-edge bench robot.mmb --json now.json --html now.html

    mm-edge bench robot.mmb --baseline then.json    exit code 1 on a regression
    """
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig, load_config
    from mm_edge.shipped import default_bundle

    flags = {"engine.name": engine, "engine.precision": precision}
    changes = [*(settings or []), *(f"{key}={value}" for key, value in flags.items() if value is not None)]
    config_made: RunConfig = load_config(RunConfig, config, changes)
    measured = bundle or default_bundle()
    Bundle.open(measured, config_made.trust).close()  # refuses an invalid bundle before the engines are loaded

    from mm_edge.benchmarks.bench.bench import QUICK_SECONDS, ROUNDS, SECONDS, select_scenarios
    from mm_edge.benchmarks.bench.bench import bench as measure
    from mm_edge.benchmarks.bench.report import read_report, write_report

    scenarios = select_scenarios(scenario or [])
    then = read_report(baseline) if baseline else None
    _quiet()
    with _progress() as progress:
        report = measure(
            measured,
            config_made,
            scenarios,
            seconds=seconds or (QUICK_SECONDS if quick else SECONDS),
            rounds=rounds or ROUNDS,
            take=take,
            progress=progress,
        )
    _show(report)
    if json is not None:
        write_report(json, report)
    failed = [*_regressions(then, report), *(_budgets(report, ratios_only=ratios) if budgets or ratios else [])]
    if html is not None or history is not None:
        _keep(report, html, history, then)
    if failed:
        from mm_edge.errors import WorkFailedError

        raise WorkFailedError("; ".join(failed), action=f"measuring '{report.bundle}'")


def _quiet() -> None:
    """Hides the log of the sessions that every scenario starts; --debug shows it."""
    import logging

    runtime = logging.getLogger("mm_edge.runtime")
    if not runtime.isEnabledFor(logging.DEBUG):
        runtime.setLevel(logging.ERROR)


class _progress:  # noqa: N801  # used as `with _progress() as progress`
    """A progress bar on a terminal's stderr; nothing without a terminal."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.progress import Progress

        from mm_edge.console import SafeConsole

        console = SafeConsole(stderr=True)
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        task = self._bar.add_task("loading", total=None)

        def update(scenario: str, done: int, total: int) -> None:
            self._bar.update(task, description=scenario, completed=done, total=total)

        return update

    def __exit__(self, *_raised: object) -> None:
        self._bar.stop()


def _show(report: Report) -> None:
    from mm_edge.benchmarks.bench.table import FIGURES, figure_rows, machine_lines
    from mm_edge.cli.terminal import console

    out = console()
    for line in machine_lines(report):
        out.print(line, markup=False, style="bright_black")
    out.print()
    _table(FIGURES, figure_rows(report))
    for note in report.notes:
        out.print(f"note: {note}", markup=False)
    for warning in report.machine.conditions.warnings:
        out.print(f"unreliable: {warning}", markup=False, style="bold yellow")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from mm_edge.cli.terminal import add, console, table

    filled = [place for place, _ in enumerate(head) if any(row[place] for row in rows)]
    shown = table(*(head[place] for place in filled))
    for row in rows:
        add(shown, *(row[place] for place in filled))
    out = console()
    out.print(shown)
    out.print()


def _regressions(then: Report | None, now: Report) -> list[str]:
    if then is None:
        return []
    from mm_edge.benchmarks.bench.compare import compare
    from mm_edge.benchmarks.bench.table import CHANGES, change_rows

    changes = compare(then, now)
    _table(CHANGES, change_rows(changes))
    return [
        f"regression: {change.key} is {change.ratio - 1:.0%} worse than the baseline (95 % interval: "
        f"{change.low - 1:.0%} to {change.high - 1:.0%})"
        for change in changes
        if change.verdict == "regression"
    ]


def _budgets(report: Report, *, ratios_only: bool) -> list[str]:
    from mm_edge.benchmarks.bench.budget import check_budgets, read_budgets
    from mm_edge.benchmarks.bench.table import BUDGETS, budget_rows

    results = check_budgets(report, read_budgets(), ratios_only=ratios_only)
    _table(BUDGETS, budget_rows(results))
    return [
        f"budget exceeded: {each.budget.what} is {each.found:.3g}, limit {each.budget.most:g}"
        for each in results
        if each.status == "exceeded"
    ]


def _keep(report: Report, html: Path | None, history: Path | None, then: Report | None) -> None:
    from mm_edge.benchmarks.bench.history import remember
    from mm_edge.benchmarks.bench.page import write_page

    entries = remember(history, report) if history else []
    if html is not None:
        write_page(html, report, entries, then)
