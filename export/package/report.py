"""Writes the report of an export as one HTML page without external resources: tables and two plots."""

from __future__ import annotations

import io
from html import escape
from typing import TYPE_CHECKING, Any

from mm_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from .exported import Exported, Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: 1rem 0 2rem; font-size: 13px }
th, td { padding: .25rem .75rem; text-align: left }
th { border-bottom: 2px solid #888 } tr:nth-child(even) { background: #f4f4f4 } svg { max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #e8e8e8 }
tr:nth-child(even) { background: #222 }
svg { background: #fff } }
"""
SCALE_FROM, SCALE_TO = 1e-8, 1.0


def write_report(path: Path, exported: Exported) -> None:
    manifest = exported.manifest
    head: list[tuple[str, ...]] = [
        ("model", manifest.name),
        ("source", manifest.made["source"]),
        ("created", f"{manifest.made['at']} by {manifest.made['by']}"),
        ("file", f"{exported.path.name}, {exported.size:,} bytes"),
        ("calibration", _calibration(exported)),
    ]
    facts: Table = (("bundle", ""), head)
    body = [
        f"<h1>{escape(manifest.name)}</h1>",
        _table(facts),
        _errors(exported),
        _times(exported),
        *map(_table, exported.tables()),
    ]
    body += [f"<p>{escape(note)}</p>" for note in exported.notes]
    title = escape(manifest.name)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    path.write_text(page + "\n".join(body) + "</html>\n", encoding="utf-8")


def _calibration(exported: Exported) -> str:
    found = exported.manifest.calibration
    return (
        f"{found.samples} samples of {found.source}, method {found.method}, digest {found.digest[:16]}"
        if found
        else "none"
    )


def _table(table: Table) -> str:
    head, rows = table
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"


def _errors(exported: Exported) -> str:
    """The relative error of every output of the whole model, by precision, on a logarithmic scale."""
    rows = [row for row in exported.manifest.parity if row.scope == "chain"]
    figure, axes = _figure("relative error of the whole model, worst sample", len(rows))
    names = [f"{row.tensor}, {row.precision}" for row in rows]
    axes.barh(names, [min(max(row.relative_error, SCALE_FROM), SCALE_TO) for row in rows], left=0)
    axes.set_xscale("log")
    axes.set_xlim(SCALE_FROM, SCALE_TO)
    axes.invert_yaxis()
    return _svg(figure)


def _times(exported: Exported) -> str:
    rows = [
        (f"{part.name}, {precision}", ms) for part in exported.manifest.parts for precision, ms in part.cost.ms.items()
    ]
    figure, axes = _figure("milliseconds per run on this machine", len(rows))
    axes.barh([name for name, _ in rows], [ms for _, ms in rows])
    axes.invert_yaxis()
    return _svg(figure)


def _figure(title: str, rows: int) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "export") from None
    figure = Figure(figsize=(9, 0.8 + 0.3 * max(rows, 1)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    return figure, axes


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :]
