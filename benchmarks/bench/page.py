"""A report as a self-contained HTML page: plots, tables, the machine; light and dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mm_edge.errors import UsageError

from .compare import compare
from .plots import SERIES, bars, curves, lines_of, timeline
from .table import CHANGES, FIGURES, change_rows, figure_rows, machine_lines, number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .figure import Figure, Report
    from .history import Entry

# Distinguishable with colour blindness, on white and on black.
LIGHT = ("#2563eb", "#d97706", "#0d9488", "#c026d3", "#64748b", "#dc2626", "#65a30d", "#7c3aed")
DARK = ("#7aa2ff", "#fbbf24", "#2dd4bf", "#f0abfc", "#94a3b8", "#fb7185", "#a3e635", "#c4b5fd")
CURVES = ("single-stream/latency", "multi-stream/query of 8", "live/idle.p99", "live/saturated.p99")
HISTORY = ("single-stream/latency.p50", "live/idle.p99", "live/saturated.p50")

STYLE = """
:root{color-scheme:light dark;--bg:#fbfbfd;--card:#fff;--ink:#16181d;--soft:#626a78;--line:#e4e7ee;--bar:#2563eb;
--track:#eef1f7;--warn:#b45309;--warnbg:#fff7e6}
@media(prefers-color-scheme:dark){:root{--bg:#0f1116;--card:#171a21;--ink:#eceff5;--soft:#98a1b3;--line:#272c37;
--bar:#5b8cff;--track:#1f2430;--warn:#fbbf24;--warnbg:#2a2310}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 ui-sans-serif,system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1000px;margin:0 auto;padding:40px 20px 80px}h1{font-size:30px;margin:0 0 4px;letter-spacing:-.02em}
h2{font-size:18px;margin:0 0 4px}section{background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:22px 24px;margin:20px 0}p{margin:4px 0 14px;color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:14px;margin:22px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px 18px}
.tile b{display:block;font-size:26px;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile b small{font-size:14px;font-weight:500;color:var(--soft)}.tile span{color:var(--soft);font-size:13px}
svg{width:100%;min-width:600px;height:auto;display:block}text{fill:var(--ink);font-size:12.5px}
.tick{fill:var(--soft);font-size:11.5px}.value{font-variant-numeric:tabular-nums}.track{fill:var(--track)}
.bar{fill:var(--bar);opacity:.85}.whisker{stroke:var(--ink);stroke-width:1.4;fill:none}
.floor{stroke:#d97706;stroke-width:2.5}.grid{stroke:var(--line);fill:none}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;margin:8px 0 0;font-size:13px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}td:first-child{font-weight:600}
td:nth-child(-n+4){white-space:nowrap}td:nth-child(9){min-width:190px}
.warning{color:var(--warn);background:var(--warnbg);border-radius:10px;padding:10px 14px}
.regression td{color:#dc2626}.improvement td{color:#0d9488}
"""


def write_page(path: Path, report: Report, history: Sequence[Entry] = (), then: Report | None = None) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(report, history, then), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.strerror}", action=f"writing {path}", hint="Choose a writable path") from None


def page(report: Report, history: Sequence[Entry] = (), then: Report | None = None) -> str:
    """The whole document."""
    scenarios = list(dict.fromkeys(figure.scenario for figure in report.figures))
    sections = [
        _section("Comparison with the baseline", "Ratio: now / then; above 1 is worse.", _changes(then, report)),
        *(_bars(report, scenario) for scenario in scenarios),
        _section(
            "Distributions",
            "Latency by percentile. A flat line is a stable latency; the rise at the right is the tail.",
            curves([figure for figure in report.figures if figure.key in CURVES]),
        ),
        _section("Timeline", "Stages of a few ticks by worker, at the camera's rate.", timeline(report.spans)),
        _section(
            "Age over time",
            "Age of each input's capture when its prediction was delivered.",
            lines_of({name: list(points) for name, points in report.ages.items()}, "seconds", "ms"),
        ),
        _section("History", "Earlier runs of this bundle on this kind of machine, oldest first.", _history(history)),
        _section("All figures", "", _table(FIGURES, figure_rows(report))),
        _section("Machine", "", "".join(f"<p>{escape(line)}</p>" for line in machine_lines(report))),
    ]
    warnings = "".join(
        f'<p class="warning">Unreliable: {escape(warning)}</p>' for warning in report.machine.conditions.warnings
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(report.bundle)}: mm-edge bench</title><style>{STYLE}{_colors()}</style><main>"
        f"<h1>{escape(report.bundle)}</h1><p>mm-edge bench, {escape(report.when)}, {escape(report.machine.cpu)}, "
        f"{report.machine.cores:g} cores</p>{warnings}{_tiles(report)}{''.join(sections)}{notes}</main></html>\n"
    )


def _tiles(report: Report) -> str:
    """The most important figures."""
    titles = {
        "single-stream/latency": "single-stream latency, p90",
        "live/idle.p99": "live latency from capture, p99",
        "offline/from memory": "offline throughput",
        "incremental/on change / everything": "CPU with reuse / without",
        "cold/first prediction": "process start to first prediction",
    }
    found = {figure.key: figure for figure in report.figures}
    tiles = [
        f'<div class="tile"><b>{number(found[key].value)} <small>{escape(found[key].unit)}</small></b>'
        f"<span>{what}</span></div>"
        for key, what in titles.items()
        if key in found
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _bars(report: Report, scenario: str) -> str:
    """A plot for each unit of a scenario, so that an axis has one unit."""
    shown = [figure for figure in report.figures if figure.scenario == scenario and figure.better != "neither"]
    by_unit: dict[str, list[Figure]] = {}
    for figure in shown:
        by_unit.setdefault(figure.unit, []).append(figure)
    return _section(
        scenario.capitalize(),
        "Bars: value, on a logarithmic axis; whiskers: 90 % interval; orange: floor.",
        "".join(bars(figures) for figures in by_unit.values()),
    )


def _changes(then: Report | None, now: Report) -> str:
    if then is None:
        return ""
    changes = compare(then, now)
    return _table(CHANGES, change_rows(changes), [change.verdict for change in changes])


def _history(entries: Sequence[Entry]) -> str:
    lines = {
        key: [(float(place), entry.values[key][0]) for place, entry in enumerate(entries) if key in entry.values]
        for key in HISTORY
    }
    return lines_of(dict(lines), "run", "ms")


def _section(title: str, about: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(about)}</p>{inside}</section>" if inside else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] = ()) -> str:
    kinds = classes or [""] * len(rows)
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f'<tr class="{kind}">{"".join(f"<td>{escape(cell)}</td>" for cell in row)}</tr>'
        for kind, row in zip(kinds, rows, strict=True)
    )
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _colors() -> str:
    def rules(colors: Sequence[str]) -> str:
        return "".join(
            f".s{k}{{stroke:{colors[k]}}}.f{k}{{fill:{colors[k]}}}.b{k}{{background:{colors[k]}}}"
            for k in range(SERIES)
        )

    return rules(LIGHT) + f"@media(prefers-color-scheme:dark){{{rules(DARK)}}}"
