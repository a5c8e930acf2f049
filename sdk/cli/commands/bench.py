"""mm-edge bench: measures a bundle on this machine, and holds it against a baseline and budgets."""

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
            help="A .mmb file or a bundle's folder; without it, the one that ships.",
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="parts, single-stream, multi-stream, offline, live, incremental, cold, power, soak or all (not soak); "
            "may be given again.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="N", min=1.0, help="How long to measure, in all (90; loading comes on top).")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="20 seconds: wider intervals.")] = False,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", min=2, max=1000, help="In how many rounds (6); more tell more surely.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, onnxruntime[:PROVIDER], openvino, tensorrt or tensorrt-rtx."),
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="NAME", help="auto, fp32, fp16 or int8.")] = None,
    take: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A take to play at full speed in `offline`.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one page with plots.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The JSON of an earlier run: exit code 1 if this one is worse.")
    ] = None,
    budgets: Annotated[
        bool, typer.Option("--budgets", help="Hold it against the budgets: exit code 1 where one is broken.")
    ] = False,
    ratios: Annotated[
        bool, typer.Option("--ratios", help="Of the budgets, only those that hold on a machine of any speed.")
    ] = False,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add this run to the history of this machine; --html plots it.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="A configuration (docs/configuration.md).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="One value of the configuration; may be given again."),
    ] = None,
) -> None:
    """Measure a bundle on this machine.

    mm-edge bench                                   the bundle that ships, under two minutes

    mm-edge bench robot.mmb --json now.json --html now.html

    mm-edge bench robot.mmb --baseline then.json    exit code 1 if anything got slower
    """
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig, load_config
    from mm_edge.shipped import default_bundle

    flags = {"engine.name": engine, "engine.precision": precision}
    changes = [*(settings or []), *(f"{key}={value}" for key, value in flags.items() if value is not None)]
    config_made: RunConfig = load_config(RunConfig, config, changes)
    measured = bundle or default_bundle()
    Bundle.open(measured, config_made.trust).close()  # a broken one is refused before anything that runs it is loaded

    from mm_edge.benchmarks.bench.bench import QUICK_SECONDS, ROUNDS, SECONDS, chosen
    from mm_edge.benchmarks.bench.bench import bench as measure
    from mm_edge.benchmarks.bench.report import read_report, write_report

    scenarios = chosen(scenario or [])
    then = read_report(baseline) if baseline else None
    _hush()
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
    failed = [*_held_against(then, report), *(_budgets(report, ratios_only=ratios) if budgets or ratios else [])]
    if html is not None or history is not None:
        _keep(report, html, history, then)
    if failed:
        from mm_edge.errors import WorkFailedError

        raise WorkFailedError("; ".join(failed), action=f"measuring '{report.bundle}'")


def _hush() -> None:
    """Every scenario starts sessions: what each tells of its sources would bury the table. --debug shows it."""
    import logging

    runtime = logging.getLogger("mm_edge.runtime")
    if not runtime.isEnabledFor(logging.DEBUG):
        runtime.setLevel(logging.ERROR)


class _progress:  # noqa: N801  # used as `with _progress() as told`
    """A bar on the terminal's error stream while it is measured; nothing where there is no terminal."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True, disable=not Console(stderr=True).is_terminal)
        self._bar.start()
        task = self._bar.add_task("loading", total=None)

        def told(doing: str, done: int, every: int) -> None:
            self._bar.update(task, description=doing, completed=done, total=every)

        return told

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
    for doubt in report.machine.heat.doubts:
        out.print(f"not to be relied on: {doubt}", markup=False, style="bold yellow")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from mm_edge.cli.terminal import add, console, table

    filled = [place for place, _ in enumerate(head) if any(row[place] for row in rows)]
    shown = table(*(head[place] for place in filled))
    for row in rows:
        add(shown, *(row[place] for place in filled))
    out = console()
    out.print(shown)
    out.print()


def _held_against(then: Report | None, now: Report) -> list[str]:
    if then is None:
        return []
    from mm_edge.benchmarks.bench.compare import compare
    from mm_edge.benchmarks.bench.table import CHANGES, change_rows

    changes = compare(then, now)
    _table(CHANGES, change_rows(changes))
    return [
        f"{change.key} is {change.ratio - 1:.0%} worse than the baseline (by {change.low - 1:.0%} to "
        f"{change.high - 1:.0%})"
        for change in changes
        if change.verdict == "worse"
    ]


def _budgets(report: Report, *, ratios_only: bool) -> list[str]:
    from mm_edge.benchmarks.bench.budget import hold, read_budgets
    from mm_edge.benchmarks.bench.table import BUDGETS, budget_rows

    held = hold(report, read_budgets(), ratios_only=ratios_only)
    _table(BUDGETS, budget_rows(held))
    return [
        f"{each.budget.what} is {each.found:.3g}, at most {each.budget.most:g} is allowed"
        for each in held
        if each.standing == "broken"
    ]


def _keep(report: Report, html: Path | None, history: Path | None, then: Report | None) -> None:
    from mm_edge.benchmarks.bench.history import remember
    from mm_edge.benchmarks.bench.page import write_page

    entries = remember(history, report) if history else []
    if html is not None:
        write_page(html, report, entries, then)
