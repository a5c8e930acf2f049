"""Writes the exporter's figures into docs/exporting.md from benchmarks/results: python docs/exporting_figures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "exporting.md"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
SIZES, SPEED = RESULTS / "export_real_sizes.json", RESULTS / "export_int8_speed.json"
FRONT_END = RESULTS / "export_front_end.json"
HEAD = f"<!-- figures: docs/{Path(__file__).name} generates this block from benchmarks/results/export_*.json -->\n"
TAIL = "<!-- end of figures -->"


def figures(results: dict[str, Any]) -> str:
    lines = [
        "| model | nodes by part | seconds (CPU) | load | peak memory | error: fp32, fp16, int8-cpu, int8-trt |",
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


def kept(results: dict[str, Any]) -> str:
    """Each model's int8 candidates, and the nodes that stay fp32."""
    lines = [
        "| model | part | precision | error | nodes kept fp32 | trials | ms: int8, fp32 | note |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        for item in result["candidates"]:
            if item["precision"].startswith("int8"):
                times = f"{item['ms']:.0f}, {item['fp32_ms']:.0f}" if item["ms"] else ""
                cells = (
                    name,
                    item["part"],
                    item["precision"],
                    f"{item['relative_error']:.1e}",
                    str(item["kept_fp32"]),
                    str(item["trials"]),
                    times,
                    item.get("note", ""),
                )
                lines.append(f"| {' | '.join(cells)} |")
    notes = [f"- {name}: {note}" for name, result in results.items() for note in result["notes"] if "int8" in note]
    return "\n".join([*lines, "", *notes]) + "\n"


def speed(found: dict[str, Any]) -> str:
    vnni = "with" if found["vnni"] else "without"
    times = (
        f"fp32 {found['fp32_ms']:.1f} ms, int8 {found['int8_cpu_ms']:.1f} ms, {found['times_faster']:.2f} times faster"
    )
    return (
        f"{found['parameters'] / 1e6:.1f} million parameters on one thread, {vnni} VNNI: {times}; "
        f"the minimum cosine over {found['samples']} held-out samples is {found['cosine']:.5f}.\n"
    )


def front_end(found: dict[str, Any]) -> str:
    """Each model's front ends; of the three forms of int8, the one that is fastest when folded."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("onnxruntime", "opencv-python-headless"))
    lines = [
        (
            f"Front ends on {machine['cpu']}, one thread, {versions}: milliseconds of CPU time, and the difference to "
            "blobFromImage, or to int8 without the fold, with its 90 % interval. All take turns in each of "
            f"{found['rounds']} rounds."
        ),
        *(f"**Unreliable:** {warning}." for warning in machine["conditions"]["warnings"]),
        "",
        "| model | front end | to the first convolution | difference | to the result | difference |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in found["models"].items():
        start, whole = result["to the first convolution"], result["whole"]
        lines += [f"| {name} | {form} | {_timed(start[form])} | {_timed(whole[form])} |" for form in whole]
        fastest = min(result["int8"].values(), key=lambda forms: min(each["ms"] for each in forms.values()))
        lines += [f"| {name} | {form} | | | {_timed(timing)} |" for form, timing in fastest.items()]
    return "\n".join(lines) + "\n"


def _timed(found: dict[str, Any]) -> str:
    low, high = found["above_ms_90"]
    if low == high == 0:
        return f"{found['ms']:.2f} | "  # the base of the others
    return f"{found['ms']:.2f} | {found['above_ms']:+.2f} ({low:+.2f} to {high:+.2f})"


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    sizes, faster, ends = (json.loads(path.read_text(encoding="utf-8")) for path in (SIZES, SPEED, FRONT_END))
    shown = (figures(sizes), kept(sizes), speed(faster), front_end(ends))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), "\n".join(shown)), encoding="utf-8")
