"""Plots as inline SVG, in the page's colours so that they follow its light and dark theme."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from .table import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .figure import Figure, Span

    Points = Sequence[tuple[float, float]]

WIDTH = 860
LEFT, RIGHT, ROW, VALUE = 190, 24, 26, 130
SERIES = 8  # colours that the style sheet knows
MOST_POINTS = 600
TICKS = 5


def bars(figures: Sequence[Figure]) -> str:
    """Values with their 90 % intervals and floors, on a logarithmic axis."""
    shown = [figure for figure in figures if figure.value > 0]
    if not shown:
        return ""
    edges = [edge for f in shown for edge in (f.low, f.high, f.value, f.floor.value if f.floor else f.value)]
    every = [edge for edge in edges if edge > 0]
    low, high = min(every) / 1.3, max(every) * 1.2

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - VALUE) * math.log(max(value, low) / low) / math.log(high / low)

    rows = []
    for place, figure in enumerate(shown):
        top = 8 + place * ROW
        middle = top + 8
        rows.append(
            f'<text class="name" x="{LEFT - 10}" y="{middle + 4}" text-anchor="end">{escape(figure.name)}</text>'
            f'<rect class="track" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - VALUE}" height="16" rx="4"/>'
            f'<rect class="bar" x="{LEFT}" y="{top}" width="{max(2, x(figure.value) - LEFT):.1f}" '
            'height="16" rx="4">'
            f"<title>{escape(figure.key)}: {number(figure.value)} {figure.unit}, 90 % interval "
            f"{number(figure.low)} to {number(figure.high)}, n = {figure.n}</title></rect>"
            f'<path class="whisker" d="M{x(figure.low):.1f} {middle}H{x(figure.high):.1f}'
            f'M{x(figure.low):.1f} {middle - 4}v8M{x(figure.high):.1f} {middle - 4}v8"/>'
            f'<text class="value" x="{WIDTH - VALUE + 8}" y="{middle + 4}">'
            f"{number(figure.value)} {escape(figure.unit)}</text>"
        )
        if figure.floor and figure.floor.value > 0:
            rows.append(
                f'<path class="floor" d="M{x(figure.floor.value):.1f} {top - 2}v20">'
                f"<title>floor: {escape(figure.floor.what)}, {number(figure.floor.value)}</title></path>"
            )
    return _svg("".join(rows), 12 + len(shown) * ROW)


def curves(figures: Sequence[Figure]) -> str:
    """Latency by percentile."""
    lines = {figure.key: [(2.0 * k, v) for k, v in enumerate(figure.curve)] for figure in figures if figure.curve}
    return lines_of(lines, "percentile", "ms", logarithmic=True)


def lines_of(
    given: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str, *, logarithmic: bool = False
) -> str:
    """Lines over a common axis, with a legend below."""
    lines = {name: _thinned(points) for name, points in given.items() if len(points) > 1}
    if not lines:
        return ""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points if y > 0 or not logarithmic]
    low, high = (min(ys) * 0.9, max(ys) * 1.1) if logarithmic else (0.0, max(ys) * 1.08 or 1.0)
    height, top, left = 250, 26, 58

    def at_x(x: float) -> float:
        return left + (WIDTH - left - RIGHT) * (x - min(xs)) / ((max(xs) - min(xs)) or 1)

    def at_y(y: float) -> float:
        share = math.log(max(y, low) / low) / math.log(high / low) if logarithmic else (y - low) / (high - low)
        return top + height * (1 - share)

    parts = [
        f'<path class="grid" d="M{left} {at_y(y):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="tick" x="{left - 8}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        for y in (_powers(low, high) if logarithmic else _round_numbers(low, high))
    ]
    parts += [
        f'<text class="tick" x="{at_x(x):.1f}" y="{top + height + 18}" text-anchor="middle">{x:g}</text>'
        for x in _round_numbers(min(xs), max(xs))
    ]
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{top + height + 34}" text-anchor="end">{across}</text>')
    parts.append(f'<text class="tick" x="{left - 8}" y="10" text-anchor="end">{up}</text>')
    for place, points in enumerate(lines.values()):
        drawn = "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in points)
        parts.append(f'<path class="line s{place % SERIES}" d="M{drawn}"/>')
    return _svg("".join(parts), top + height + 40) + _legend(list(lines))


def timeline(spans: Sequence[Span]) -> str:
    """Workers from top to bottom, stages from left to right; each tick has a column."""
    if not spans:
        return ""
    workers, labels = sorted({span.worker for span in spans}), sorted({span.label for span in spans})
    ticks = sorted({span.tick for span in spans})
    # Most of the time between two ticks is idle, so each tick has a column of its own.
    begins = {tick: min(span.start_ms for span in spans if span.tick == tick) for tick in ticks}
    longest = max(span.end_ms - begins[span.tick] for span in spans) or 1.0
    column = (WIDTH - 90 - RIGHT) / len(ticks)
    parts = []
    for place, tick in enumerate(ticks):
        parts.append(f'<text class="tick" x="{90 + place * column:.1f}" y="12">tick {tick}</text>')
        parts.append(f'<path class="grid" d="M{90 + place * column:.1f} 18V{28 + len(workers) * 34}"/>')
    for place, worker in enumerate(workers):
        name = escape(worker.removeprefix("mm-edge-"))
        parts.append(f'<text class="name" x="82" y="{42 + place * 34}" text-anchor="end">{name}</text>')
    for span in spans:
        left = 90 + ticks.index(span.tick) * column + (span.start_ms - begins[span.tick]) / longest * (column - 12)
        width = max(1.5, (span.end_ms - span.start_ms) / longest * (column - 12))
        parts.append(
            f'<rect class="f{labels.index(span.label) % SERIES}" x="{left:.1f}" '
            f'y="{26 + workers.index(span.worker) * 34}" '
            f'width="{width:.1f}" height="22" rx="3"><title>{escape(span.label)}: '
            f"{span.end_ms - span.start_ms:.3f} ms</title></rect>"
        )
    scale = f'<text class="tick" x="{WIDTH - RIGHT}" y="12" text-anchor="end">column width: {longest:.2f} ms</text>'
    return _svg("".join(parts) + scale, 34 + len(workers) * 34) + _legend(labels)


def _round_numbers(low: float, high: float) -> list[float]:
    """About `TICKS` multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / TICKS or 1.0
    ten = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * ten for nice in (1, 2, 5, 10) if nice * ten >= raw * 0.999)
    return [round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times each power of ten between the two."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [each for ten in decades for nice in (1, 2, 5) if low <= (each := round(nice * 10.0**ten, 12)) <= high]


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS points, keeping the maximum of each group, so that peaks stay visible."""
    step = math.ceil(len(points) / MOST_POINTS)
    return [max(points[k : k + step], key=lambda point: point[1]) for k in range(0, len(points), step)]


def _legend(names: Sequence[str]) -> str:
    items = "".join(f'<span><i class="b{place % SERIES}"></i>{escape(name)}</span>' for place, name in enumerate(names))
    return f'<p class="legend">{items}</p>'


def _svg(inside: str, height: float) -> str:
    return f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img">{inside}</svg></div>'
