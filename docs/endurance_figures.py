"""Writes the results of the chaos run and of the page soak into their pages: python docs/endurance_figures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"
TAIL = "<!-- end of figures -->"
NEVER_MS = -1.0


def chaos(found: dict[str, Any]) -> str:
    captured, dropped = found["captured"]["image"], sum(found["dropped"]["image"].values())
    summary = (
        f"Seed {found['seed']}, {found['minutes']:g} minutes, {len(found['faults'])} faults, exit code "
        f"{found['exit_code']}; of {captured} captured images {found['predictions']} were predicted and {dropped} "
        f"dropped. {_load(found)}"
    )
    lines = [
        summary,
        "",
        "| fault, state | times | longest | limit | |",
        "|---|---|---|---|---|",
    ]
    for what, row in found["reports"].items():
        longest = "never" if row["longest_ms"] == NEVER_MS else f"{row['longest_ms']:.0f} ms"
        note = f"**{row['late']} late**" if row["late"] else ""
        lines.append(f"| {what.replace('_', ' ')} | {row['count']} | {longest} | {row['limit_ms']:.0f} ms | {note} |")
    return "\n".join([*lines, *_not_met(found["late"] + found["wrong"])]) + "\n"


def page_soak(found: dict[str, Any]) -> str:
    visits = sum(count for kind, count in found["visits"].items() if kind not in {"frames", "failed"})
    summary = (
        f"Seed {found['seed']}, {found['minutes']:g} minutes, {found['clients']} clients at a time, {visits} visits, "
        f"{found['visits']['frames']} frames drawn, {found['visits'].get('failed', 0)} visits failed. {_load(found)}"
    )
    lines = [
        summary,
        "",
        "| in the second half | measured | limit |",
        "|---|---|---|",
        f"| growth of the memory a minute | {found['mb_per_minute']:.3f} MB | 0.1 MB |",
        f"| more file descriptors than in the first | {found['more_descriptors']:g} | 0 |",
        f"| more threads than in the first | {found['more_threads']:g} | 0 |",
    ]
    return "\n".join([*lines, *_not_met(found["not_met"])]) + "\n"


def _load(found: dict[str, Any]) -> str:
    others = found["others_share"] + found["stolen_share"]
    return f"Other processes and the hypervisor used {others:.0%} of the cores."


def _not_met(faults: list[str]) -> list[str]:
    return ["", "**Not met:** " + "; ".join(faults) + "."] if faults else []


# The page, the results, and what is shown of them.
BLOCKS = (("live-loop.md", "chaos.json", chaos), ("live-page.md", "page_soak.json", page_soak))


def written(text: str, results: str, shown: str) -> str:
    """The page with its block replaced."""
    head = f"<!-- figures: docs/{Path(__file__).name} generates this block from benchmarks/results/{results} -->\n"
    start = text.index(head) + len(head)
    end = text.index(TAIL, start)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    for page, results, shown in BLOCKS:
        path = DOCS / page
        block = shown(json.loads((RESULTS / results).read_text()))
        path.write_text(written(path.read_text(), results, block))
