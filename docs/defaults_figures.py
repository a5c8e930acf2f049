"""Writes what a run gives with nothing configured into docs/tuning.md: python docs/defaults_figures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "tuning.md"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "defaults.json"
HEAD = f"<!-- figures: docs/{Path(__file__).name} generates this block from benchmarks/results/{RESULTS.name} -->\n"
TAIL = "<!-- end of figures -->"
UNRELIABLE_SHARE = 0.05  # of the cores, used by others


def figures(found: dict[str, Any]) -> str:
    lines = []
    for setting in ("file", "keeps up", "30 x heavier"):
        lines += ["", f"**{setting}**", ""]
        if setting == "file":
            lines += ["| loop | frames/s | CPU ms a frame |", "|---|---|---|"]
            lines += [f"| {name} | {row['per_s']:.0f} | {row['cpu_ms']:.1f} |" for name, row in found[setting].items()]
            continue
        lines += ["| loop | age p50 ms | p99 ms | results/s | CPU ms a result |", "|---|---|---|---|---|"]
        lines += [
            f"| {name} | {row['age_p50_ms']:.1f} | {row['age_p99_ms']:.1f} | {row['per_s']:.1f} | {row['cpu_ms']:.1f} |"
            for name, row in found[setting].items()
        ]
    machine, others = found["machine"], found["others_share"] + found["stolen_share"]
    chosen = "; ".join(f"{name}: `{choice}`" for name, choice in found["chosen"].items())
    lines += ["", f"Measured on {machine['cpu']}, {machine['cores']} cores. A run chose {chosen}."]
    if others > UNRELIABLE_SHARE:
        lines += ["", f"**Unreliable:** other processes and the hypervisor used {others:.0%} of the cores."]
    return "\n".join(lines[1:]) + "\n"


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), figures(json.loads(RESULTS.read_text()))))
