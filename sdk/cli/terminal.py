"""The console for tables: as wide as the terminal, or wide enough to truncate nothing without one."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from mm_edge.console import SafeConsole
from mm_edge.printable import escaped_json

WIDTH_WITHOUT_TERMINAL = 200


def console() -> SafeConsole:
    return SafeConsole(highlight=False, width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)


def table(*columns: str) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, column in enumerate(columns):
        made.add_column(column, style="bold" if place == 0 else None, overflow="fold")
    return made


def add(made: Table, *cells: str) -> None:
    """Adds a row of plain text, so that names from bundles or devices are not parsed as markup."""
    made.add_row(*map(Text, cells))


def print_json(record: Any) -> None:
    typer.echo(escaped_json(msgspec.json.format(msgspec.json.encode(record), indent=1).decode()))
