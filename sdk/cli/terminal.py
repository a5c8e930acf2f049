"""The console for tables: as wide as the terminal, or wide enough to truncate nothing without one."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 200


def console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)


def table(*columns: str) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, column in enumerate(columns):
        made.add_column(column, style="bold" if place == 0 else None, overflow="fold")
    return made


def add(made: Table, *cells: str) -> None:
    """Adds a row of plain text, so that names from bundles or devices are not parsed as markup."""
    made.add_row(*map(Text, cells))
