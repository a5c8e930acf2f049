"""Writes the live loop's figures into docs/live-loop.md from benchmarks/results: python docs/live_loop_figures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "live-loop.md"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "live-loop.json"
HEAD = f"<!-- figures: docs/{Path(__file__).name} generates this block from benchmarks/results/{RESULTS.name} -->\n"
TAIL = "<!-- end of figures -->"
UNKNOWN = 1.0  # runs without a recorded load count as the most disturbed
# The benchmark, its figure, its description, whether less or more is better, and the limit.
REQUIREMENTS: tuple[tuple[str, str, str, str, float | None], ...] = (
    ("overhead", "p50_ratio", "age p50 relative to the bare stages, at 30 frames/s", "≤", 1.10),
    ("overhead", "p99_ratio", "age p99 relative to p99 of the bare stages", "≤", 1.50),
    ("overhead", "p99_ratio_to_bare_p50", "age p99 relative to p50 of the bare stages", "≤", 1.50),
    ("overhead", "bare_p99_ratio_to_p50", "p99 relative to p50, bare stages alone", "", None),
    ("saturated", "ratio", "throughput relative to the bare stages on as many cores", "≥", 0.95),
    ("saturated", "camera_ratio", "the same, with a camera at twice the throughput", "", None),
    ("own_cost", "share", "CPU of the loop, relative to part and preparation", "", None),
    ("own_cost", "own_us", "CPU of the loop per result, us", "", None),
    ("own_cost", "decoding_us", "of this: decoding of 1000 classes", "", None),
    ("own_cost", "source_us", "of this: source thread", "", None),
    ("own_cost", "sink_us", "of this: sink thread", "", None),
    ("too_slow", "p99_over_bound", "camera 3 x too fast: age p99 relative to 2 inferences + 1 frame", "≤", 1.0),
    ("too_slow", "slope_ms_per_s", "the same: growth of the age, ms/s", "≤", 0.05),
    ("too_slow", "unaccounted", "the same: frames neither predicted nor counted as dropped", "≤", 0),
    ("incremental", "ratio", "CPU per tick with reuse, relative to running every part", "≤", 0.60),
    ("start", "ratio", "`run --demo` to first prediction, relative to imports and sessions", "≤", 1.50),
    ("start", "rss_ratio", "memory relative to a bare script with the same sessions", "≤", 1.40),
    ("soak", "grown_mb", "memory growth in 10 minutes at 30 frames/s, MB", "≤", 2.0),
    ("offline", "ratio_to_the_best_loop", "file: frames/s relative to the best plain loop", "≥", 1.10),
    ("offline", "cpu_ratio_to_the_leanest", "file: CPU per frame relative to the plain loop with least CPU", "≤", 1.05),
    ("live_peers", "keeps_up.age_p50_ratio", "real time: age p50 relative to the newest-frame loop", "≤", 1.15),
    (
        "live_peers",
        "keeps_up.cpu_a_result_ratio",
        "real time: CPU per result relative to the newest-frame loop",
        "≤",
        1.05,
    ),
    ("live_peers", "too_slow.results_ratio", "overload: results relative to the newest-frame loop", "≥", 1.90),
    ("live_peers", "too_slow.share_of_bare_engines", "overload: share of the speed-up of bare engines", "", None),
    ("live_peers", "too_slow.age_p50_ratio", "overload: age p50 relative to the newest-frame loop", "≤", 1.05),
)


def figures(results: dict[str, Any]) -> str:
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}:",
        "",
        "| figure | measured | limit | | all runs | other load |",
        "|---|---|---|---|---|---|",
    ]
    for benchmark, name, what, sense, limit in REQUIREMENTS:
        runs = [run for run in results[benchmark] if name in run]
        calmest = min(runs, key=disturbed)
        value, every = calmest[name], ", ".join(f"{run[name]:.3g}" for run in runs)
        met = limit is None or (value <= limit if sense == "≤" else value >= limit)
        required, note = "" if limit is None else f"{sense} {limit:g}", "" if met else "**not met**"
        by_others = f"{disturbed(calmest):.0%}" if disturbed(calmest) < UNKNOWN else "unknown"
        lines.append(f"| {what} | {value:.3g} | {required} | {note} | {every} | {by_others} |")
    return "\n".join(lines) + "\n"


def disturbed(run: dict[str, Any]) -> float:
    """The share of the cores used by other processes and the hypervisor during the run."""
    return float(run["others_share"] + run["stolen_share"]) if "others_share" in run else UNKNOWN


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), figures(json.loads(RESULTS.read_text()))))
