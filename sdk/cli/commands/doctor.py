"""mm-edge doctor: checks the hardware, drivers and packages of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from mm_edge.doctor.finding import Finding

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "missing": ("-", "bright_black"), "error": ("✗", "red")}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the hardware, drivers and packages of this machine, with a hint for each problem."""
    from mm_edge.doctor.examine import examine
    from mm_edge.jetson.board import board
    from mm_edge.jetson.power import power
    from mm_edge.runtime.engines.selection.survey import survey

    findings = examine({"Engine selection": (survey,), "Board": (board, power)})
    if json:
        from mm_edge import __version__
        from mm_edge.cli.terminal import print_json
        from mm_edge.doctor.report import DoctorReport

        report = DoctorReport(__version__, findings)
        print_json(report)
    else:
        _print(findings)


def _print(findings: dict[str, list[Finding]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from mm_edge.cli.terminal import console

    out = console()
    for heading, found in findings.items():
        if not found:
            continue
        rows = Table.grid(padding=(0, 2), expand=False)
        rows.add_column(width=1)
        rows.add_column(min_width=16)
        rows.add_column(overflow="fold")
        for each in found:
            mark, color = MARKS[each.state]
            rows.add_row(Text(mark, style=color), Text(each.name), _described(each))
        out.print(Text(heading, style="bold"))
        out.print(rows)
        out.print()
    every = [each for found in findings.values() for each in found]
    counts = {state: sum(each.state == state for each in every) for state in MARKS}
    passed = f"{counts['ok']} ok, {counts['warning']} warnings"
    out.print(Text(f"{passed}, {counts['missing']} not available, {counts['error']} errors"))


def _described(finding: Finding) -> Text:
    from rich.text import Text

    text = Text(finding.found, style="bright_black" if finding.state == "missing" else "")
    if finding.hint:
        text.append(f"\n→ {finding.hint}", style="cyan")
    return text
