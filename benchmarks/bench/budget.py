"""Budgets: a table of what may not be exceeded on which kind of device, and how a report stands against it."""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from mm_edge.errors import UsageError
from mm_edge.spec import Strict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from .figure import Figure, Report

HERE = Path(__file__).with_name("budgets.toml")
Standing = Literal["holds", "broken", "not measured"]


class Budget(Strict, frozen=True):
    """One row. `what` is a figure's key; `of` says which number of it: its value or its ratio to its floor.

    `device` is a pattern over kinds of machine (`*`, `x86-*`, `jetson-*`).
    """

    what: str
    of: Literal["value", "ratio"]
    most: float
    device: str = "*"
    why: str = ""


class Held(Strict, frozen=True):
    """A budget beside what was measured. None where it was not."""

    budget: Budget
    found: float | None
    standing: Standing


def read_budgets(path: Path = HERE) -> list[Budget]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(table.get("budget", []), list[Budget])
    except OSError as error:
        raise UsageError(f"{error.strerror}", action=f"reading {path}") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{error}", action=f"reading the budgets {path}") from None


def hold(report: Report, budgets: list[Budget], *, ratios_only: bool = False) -> list[Held]:
    """The rows for this kind of machine. A figure's value may exceed its budget by its own doubt, and no more: a budget
    is broken when the low end of the interval is above it.
    """
    figures = {figure.key: figure for figure in report.figures}
    return [
        _held(budget, figures.get(budget.what))
        for budget in budgets
        if fnmatch.fnmatch(report.machine.kind, budget.device) and (not ratios_only or _is_ratio(budget, figures))
    ]


def _is_ratio(budget: Budget, figures: dict[str, Figure]) -> bool:
    """What holds on a machine of any speed."""
    figure = figures.get(budget.what)
    return budget.of == "ratio" or (figure is not None and figure.unit in {"ratio", "captures"})


def _held(budget: Budget, figure: Figure | None) -> Held:
    if figure is None or (budget.of == "ratio" and figure.floor is None):
        return Held(budget, None, "not measured")
    if budget.of == "ratio" and figure.floor is not None:
        floor, found = figure.floor, figure.floor.ratio
        own = figure.low / figure.value if figure.better == "less" else figure.value / figure.high
        surely = floor.low if floor.rounds else found * own
    else:
        found, surely = figure.value, figure.low
    return Held(budget, found, "broken" if surely > budget.most else "holds")
