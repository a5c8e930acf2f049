"""Where a verb's tables go: as wide as the terminal, and wide enough to cut nothing where there is none."""

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
    """A row of plain text: what a bundle or a device calls itself is no markup."""
    made.add_row(*map(Text, cells))
