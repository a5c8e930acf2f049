"""mm-edge doctor: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from mm_edge.doctor.finding import Finding

MARKS = {"good": ("✓", "green"), "note": ("!", "yellow"), "missing": ("-", "bright_black"), "broken": ("✗", "red")}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Give all of it as JSON, for machines.")] = False,
) -> None:
    """Tell what this machine has, what is missing, and what to do about it."""
    from mm_edge.doctor.examine import examine
    from mm_edge.jetson.board import board
    from mm_edge.jetson.power import power
    from mm_edge.runtime.engines.selection.survey import survey

    findings = examine({"Engine of a run": (survey,), "Board": (board, power)})
    if json:
        import msgspec

        from mm_edge import __version__

        typer.echo(msgspec.json.format(msgspec.json.encode({"mm_edge": __version__, "findings": findings}), indent=1))
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
            rows.add_row(Text(mark, style=color), Text(each.name), _told(each))
        out.print(Text(heading, style="bold"))
        out.print(rows)
        out.print()
    every = [each for found in findings.values() for each in found]
    counts = {state: sum(each.state == state for each in every) for state in MARKS}
    out.print(
        Text(
            f"{counts['good']} good, {counts['note']} to note, {counts['missing']} not there, {counts['broken']} broken"
        )
    )


def _told(finding: Finding) -> Text:
    from rich.text import Text

    told = Text(finding.found, style="bright_black" if finding.state == "missing" else "")
    if finding.hint:
        told.append(f"\n→ {finding.hint}", style="cyan")
    return told
