"""A report as rows of text, for the terminal, the HTML page and documents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .budget import BudgetResult
    from .compare import Change
    from .figure import Figure, Floor, Machine, Report

FIGURES = ("figure", "statistic", "value", "90 % interval", "p50", "p99", "max", "n", "floor", "x floor", "note")
CHANGES = ("figure", "baseline", "now", "ratio", "95 % interval", "p-value", "result")
BUDGETS = ("figure", "of", "limit", "measured", "result")


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
            f"{change.p_value:.2g}",
            change.verdict,
        )
        for change in changes
    ]


def budget_rows(results: Sequence[BudgetResult]) -> list[tuple[str, ...]]:
    return [
        (
            each.budget.what,
            "ratio to the floor" if each.budget.of == "ratio" else "value",
            number(each.budget.most),
            "" if each.found is None else number(each.found),
            each.status,
        )
        for each in results
    ]


def machine_lines(report: Report) -> list[str]:
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    precision = report.engine.get("precision", {})
    each = ", ".join(f"{part} {kind}" for part, kind in precision.items())
    overhead = f"{report.overhead_ns:.0f} ns per call, {report.overhead_of_shortest:.2%} of the shortest timing"
    return [
        f"{machine.cpu}, {machine.cores:g} cores, {machine.memory_mb / 1024:.0f} GB ({machine.kind})",
        f"governor: {machine.governor}; power mode: {machine.power_mode}; {_conditions(machine)}",
        f"{versions}",
        f"engine: {report.engine.get('engine')} {report.engine.get('version', '')}; {each}",
        f"measurement overhead: {overhead}",
        f"{report.round_count} rounds, {report.seconds:.0f} s; reference timing: {report.pace_us:.0f} us",
    ]


def _conditions(machine: Machine) -> str:
    found = machine.conditions
    parts = [f"CPU used by others {found.others:.1%}", f"by the hypervisor {found.stolen:.1%}"]
    values = {
        "temperature": (found.temperature_before_c, found.temperature_after_c, "°C"),
        "clock": (found.clock_before_mhz, found.clock_after_mhz, "MHz"),
    }
    for name, (before, after, unit) in values.items():
        if before and after:
            parts.append(f"{name} {before:.0f} → {after:.0f} {unit}")
    if missing := [name for name, (before, after, _) in values.items() if not (before and after)]:
        parts.append(f"{' and '.join(missing)} unavailable")
    parts.append(f"throttled {found.throttled} times" if found.throttled else "no throttling")
    return ", ".join(parts)


def number(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 6)}f}"
