"""Writes the exporter's figures into docs/exporting.md from benchmarks/results: python docs/exporting_figures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "exporting.md"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "export_real_sizes.json"
HEAD = f"<!-- figures: docs/{Path(__file__).name} writes what stands here from benchmarks/results/{RESULTS.name} -->\n"
TAIL = "<!-- end of figures -->"


def figures(results: dict[str, Any]) -> str:
    lines = [
        "| model | parts: nodes | seconds (of them CPU) | load | peak memory | error: fp32, fp16, int8-cpu, -trt |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        parts = ", ".join(f"{part} {found['nodes']}" for part, found in result["parts"].items())
        errors = []
        for precision in ("fp32", "fp16", "int8-cpu", "int8-trt"):
            found = [row["relative_error"] for row in result["parity"] if row["precision"] == precision]
            errors.append(f"{max(found):.1e}" if found else "-")
        seconds = f"{result['seconds']:.0f} ({result['cpu_seconds']:.0f})"
        memory = f"{result['peak_memory_mb'] / 1024:.1f} GB"
        lines.append(f"| {name} | {parts} | {seconds} | {result['load_at_end']} | {memory} | {', '.join(errors)} |")
    return "\n".join(lines) + "\n"


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), figures(json.loads(RESULTS.read_text()))))
