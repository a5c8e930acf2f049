"""A report as rows of text, for the terminal and for documents alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .budget import Held
    from .compare import Change
    from .figure import Figure, Floor, Machine, Report

FIGURES = ("what", "", "value", "a second run", "p50", "p99", "max", "n", "floor", "x floor", "note")
CHANGES = ("what", "then", "now", "ratio", "certainly between", "chance", "")
BUDGETS = ("what", "of", "at most", "found", "")


def figure_rows(report: Report) -> list[tuple[str, ...]]:
    return [_figure(figure) for figure in report.figures]


def _figure(figure: Figure) -> tuple[str, ...]:
    shown = figure.percentiles
    return (
        f"{figure.scenario}: {figure.name}",
        figure.statistic if figure.statistic.startswith(("p", "best")) else "",
        f"{number(figure.value)} {figure.unit}",
        f"{number(figure.low)} to {number(figure.high)}" if figure.better != "neither" else "",
        *(number(shown[key]) if key in shown else "" for key in ("p50", "p99", "max")),
        str(figure.n),
        f"{number(figure.floor.value)} ({figure.floor.what})" if figure.floor else "",
        _times(figure.floor),
        figure.note,
    )


def _times(floor: Floor | None) -> str:
    if floor is None:
        return ""
    return f"{floor.ratio:.3g} ({floor.low:.3g} to {floor.high:.3g})" if floor.rounds else f"{floor.ratio:.3g}"


def change_rows(changes: Sequence[Change]) -> list[tuple[str, ...]]:
    return [
        (
            change.key,
            f"{number(change.then)} {change.unit}",
            f"{number(change.now)} {change.unit}",
            f"{change.ratio:.3f}",
            f"{change.low:.3f} to {change.high:.3f}",
            f"{change.chance:.2g}",
            change.verdict,
        )
        for change in changes
    ]


def budget_rows(held: Sequence[Held]) -> list[tuple[str, ...]]:
    return [
        (
            each.budget.what,
            "ratio to its floor" if each.budget.of == "ratio" else "value",
            number(each.budget.most),
            "" if each.found is None else number(each.found),
            each.standing,
        )
        for each in held
    ]


def machine_lines(report: Report) -> list[str]:
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    precision = report.engine.get("precision", {})
    each = ", ".join(f"{part} {kind}" for part, kind in precision.items())
    return [
        f"{machine.cpu}, {machine.cores:g} cores, {machine.memory_mb / 1024:.0f} GB ({machine.kind})",
        f"governor: {machine.governor}; power mode: {machine.power_mode}; {_heat(machine)}",
        f"{versions}",
        f"engine: {report.engine.get('engine')} {report.engine.get('version', '')}; {each}",
        f"harness: {report.overhead_ns:.0f} ns a call, {report.overhead_of_shortest:.2%} of the shortest thing timed",
        f"{report.round_count} rounds, {report.seconds:.0f} s; the yardstick took {report.pace_us:.0f} us",
    ]


def _heat(machine: Machine) -> str:
    heat = machine.heat
    told = [f"others {heat.others:.1%} of the cores", f"stolen {heat.stolen:.1%}"]
    for name, before, after, unit in (
        ("hottest", heat.hottest_before_c, heat.hottest_after_c, "°C"),
        ("clock", heat.clock_before_mhz, heat.clock_after_mhz, "MHz"),
    ):
        told.append(f"{name} {before:.0f} → {after:.0f} {unit}" if before and after else f"no {name} told")
    told.append(f"throttled {heat.throttled} times" if heat.throttled else "no throttling seen")
    return ", ".join(told)


def number(value: float) -> str:
    """Three significant digits, and no exponent where people do not want one."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 6)}f}"
