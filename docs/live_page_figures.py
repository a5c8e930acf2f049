"""Writes the cost of the live page into docs/live-page.md from benchmarks/results: python docs/live_page_figures.py."""

from __future__ import annotations

import json
from pathlib import Path

PAGE = Path(__file__).parent / "live-page.md"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "live_page.json"
HEAD = f"<!-- figures: docs/{Path(__file__).name} generates this block from benchmarks/results/{RESULTS.name} -->\n"
TAIL = "<!-- end of figures -->"
WAYS = {"none": "no page", "idle": "page without viewers", "watched": "page with five viewers"}


def figures(results: dict[str, float]) -> str:
    lines = [
        "| 720p at 30 frames/s | age p50 | age p99 | p99 relative to no page | share of a core |",
        "|---|---|---|---|---|",
    ]
    for way, what in WAYS.items():
        p50, p99 = (f"{results[f'{way}_{name}_ms']:.1f} ms" for name in ("p50", "p99"))
        ratio = f"{results[f'{way}_p99_ratio']:.2f}" if way != "none" else ""
        share = f"{results[f'{way}_share_of_a_core']:.1%}" if way != "none" else ""
        lines.append(f"| {what} | {p50} | {p99} | {ratio} | {share} |")
    slowest = (
        f"The slowest of the five viewers received {results['frames_a_second_of_the_slowest_viewer']:.2f} frames/s."
    )
    return "\n".join([*lines, "", slowest]) + "\n"


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), figures(json.loads(RESULTS.read_text()))))
