"""Budgets: upper limits for figures on kinds of devices, and the check of a report against them."""

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
Status = Literal["met", "exceeded", "not measured"]


class Budget(Strict, frozen=True):
    """One row. `what` is a figure's key; `of` selects its value or its ratio to the floor.

    `device` is a pattern for kinds of machines (`*`, `x86-*`, `jetson-*`).
    """

    what: str
    of: Literal["value", "ratio"]
    most: float
    device: str = "*"
    why: str = ""


class BudgetResult(Strict, frozen=True):
    """A budget and the measured number; None if it was not measured."""

    budget: Budget
    found: float | None
    status: Status


def read_budgets(path: Path = HERE) -> list[Budget]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(table.get("budget", []), list[Budget])
    except OSError as error:
        raise UsageError(f"{error.strerror}", action=f"reading {path}") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{error}", action=f"reading the budgets {path}") from None


def check_budgets(report: Report, budgets: list[Budget], *, ratios_only: bool = False) -> list[BudgetResult]:
    """The rows for this kind of machine. A budget is exceeded if the low end of the figure's interval is above it.

    `ratios_only`: only budgets that do not depend on the machine's speed.
    """
    figures = {figure.key: figure for figure in report.figures}
    return [
        _result(budget, figures.get(budget.what))
        for budget in budgets
        if fnmatch.fnmatch(report.machine.kind, budget.device) and (not ratios_only or _is_ratio(budget, figures))
    ]


def _is_ratio(budget: Budget, figures: dict[str, Figure]) -> bool:
    """Whether the budget is independent of the machine's speed."""
    figure = figures.get(budget.what)
    return budget.of == "ratio" or (figure is not None and figure.unit in {"ratio", "captures"})


def _result(budget: Budget, figure: Figure | None) -> BudgetResult:
    if figure is None or (budget.of == "ratio" and figure.floor is None):
        return BudgetResult(budget, None, "not measured")
    if budget.of == "ratio" and figure.floor is not None:
        floor, found = figure.floor, figure.floor.ratio
        margin = figure.low / figure.value if figure.better == "less" else figure.value / figure.high
        low = floor.low if floor.rounds else found * margin
    else:
        found, low = figure.value, figure.low
    return BudgetResult(budget, found, "exceeded" if low > budget.most else "met")
