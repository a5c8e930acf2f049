"""Writes the figures of several cameras into their page and the decision: python docs/cameras_figures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results" / "cameras.json"
HEAD = f"<!-- figures: docs/{Path(__file__).name} generates this block from benchmarks/results/{RESULTS.name} -->\n"
TAIL = "<!-- end of figures -->"
# The figure, its description, and the limit of the ratio.
ROWS = (
    ("cpu_ms_a_result", "CPU a result, ms", 0.9),
    ("pss_mb", "memory (PSS), MB", 0.4),
    ("rss_mb", "memory (RSS), MB", None),
    ("age_p50_ms", "age p50, ms", None),
    ("age_p99_ms", "age p99, ms", 1.0),
    ("results_a_second", "results a second", None),
)


def compared(found: dict[str, Any]) -> str:
    machine, others = found["machine"], found["others_share"] + found["stolen_share"]
    head = (
        f"{found['cameras']} cameras at {found['fps']:g} a second, {found['rounds']} turns of {found['seconds']:g} s, "
        f"medians, of the ratios too; {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}. Other "
        f"processes, among them the cameras, and the hypervisor used {others:.0%} of the cores."
    )
    lines = ["", f"| | one run | {found['cameras']} runs | ratio | range | limit | |", "|---|---|---|---|---|---|---|"]
    for name, what, limit in ROWS:
        ratio = found["ratios"][name]
        pairs = zip(found["turns"]["one_process"], found["turns"]["processes"], strict=True)
        each = sorted(one[name] / other[name] for one, other in pairs)
        met = "" if limit is None or ratio <= limit else "**not met**"
        one, other = (f"{found[side][name]:.3g}" for side in ("one_process", "processes"))
        bound = "" if limit is None else f"≤ {limit:g}"
        lines.append(f"| {what} | {one} | {other} | {ratio:.2f} | {each[0]:.2f} to {each[-1]:.2f} | {bound} | {met} |")
    return "\n".join([head, *lines]) + "\n"


def batching(found: dict[str, Any]) -> str:
    lines = [
        "| part | engine | 1 picture | 2 | 4 | a batch of four saves | and gives more results |",
        "|---|" + "---|" * 6,
    ]
    for row in found["batching"]:
        cpu = " | ".join(f"{row['cpu_ms_a_result'][batch]:.2f} ms" for batch in ("1", "2", "4"))
        lines.append(f"| {row['part']} | {row['engine']} | {cpu} | {row['cpu_gain']:.0%} | {row['rate_gain']:+.0%} |")
    return "\n".join(lines) + "\n"


def written(text: str, shown: str) -> str:
    """The page with its block replaced."""
    start = text.index(HEAD) + len(HEAD)
    return text[:start] + "\n" + shown + "\n" + text[text.index(TAIL, start) :]


if __name__ == "__main__":
    figures = json.loads(RESULTS.read_text())
    for page, block in (("several-cameras.md", compared), ("decisions/0059-several-cameras.md", batching)):
        path = DOCS / page
        path.write_text(written(path.read_text(), block(figures)))
