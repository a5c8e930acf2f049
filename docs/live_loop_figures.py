"""Writes the live loop's figures into docs/live-loop.md from benchmarks/results: python docs/live_loop_figures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "live-loop.md"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "live-loop.json"
HEAD = f"<!-- figures: docs/{Path(__file__).name} writes what stands here from benchmarks/results/{RESULTS.name} -->\n"
TAIL = "<!-- end of figures -->"
UNWATCHED = 1.0  # a run that did not look at what others did counts as the most disturbed
# The benchmark, its figure, and what is promised of it: whether less or more is better, and the limit.
PROMISES: tuple[tuple[str, str, str, str, float | None], ...] = (
    ("overhead", "p50_ratio", "age p50 against the bare stages, 30 frames a second", "≤", 1.10),
    ("overhead", "p99_ratio", "age p99 against the bare stages' p99", "≤", 1.50),
    ("overhead", "p99_ratio_to_bare_p50", "age p99 against the bare stages' p50", "≤", 1.50),
    ("overhead", "bare_p99_ratio_to_p50", "the same of the bare stages alone", "", None),
    ("saturated", "ratio", "throughput against the bare stages on as many cores, frames at hand", "≥", 0.95),
    ("saturated", "camera_ratio", "the same, from a camera that is twice too fast", "", None),
    ("own_cost", "share", "CPU a result beside its part and its picture, as a share of these", "", None),
    ("own_cost", "own_us", "the same in microseconds", "", None),
    ("own_cost", "decoding_us", "of it decoding, a thousand classes", "", None),
    ("own_cost", "source_us", "of it the source's thread", "", None),
    ("own_cost", "sink_us", "of it the sink's thread", "", None),
    ("too_slow", "p99_over_bound", "camera 3 x too fast, 60 s: age p99 against 2 x the model + a frame", "≤", 1.0),
    ("too_slow", "slope_ms_per_s", "the same: how the age grows, ms a second", "≤", 0.05),
    ("too_slow", "unaccounted", "the same: frames neither predicted nor counted as dropped", "≤", 0),
    ("incremental", "ratio", "CPU a tick against every part every tick", "≤", 0.60),
    ("start", "ratio", "`run --demo` to the first prediction against imports and sessions alone", "≤", 1.50),
    ("start", "rss_ratio", "memory against a bare script with the same sessions", "≤", 1.40),
    ("soak", "grown_mb", "growth in 10 minutes at 30 frames a second, MB", "≤", 2.0),
    ("offline", "ratio_to_the_best_loop", "a file, frames a second against the best plain loop", "≥", 1.10),
    ("offline", "cpu_ratio_to_the_leanest", "the same: CPU a frame against the leanest", "≤", 1.05),
    ("live_peers", "keeps_up.age_p50_ratio", "age p50 against the newest-wins loop, model keeps up", "≤", 1.15),
    ("live_peers", "keeps_up.cpu_a_result_ratio", "the same: CPU a result", "≤", 1.05),
    ("live_peers", "too_slow.results_ratio", "results against the newest-wins loop, model 3 x too slow", "≥", 1.90),
    ("live_peers", "too_slow.share_of_bare_engines", "the same: share of what bare engines give", "", None),
    ("live_peers", "too_slow.age_p50_ratio", "the same: age p50", "≤", 1.05),
)


def figures(results: dict[str, Any]) -> str:
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}:",
        "",
        "| what | measured | limit | | all runs | disturbed |",
        "|---|---|---|---|---|---|",
    ]
    for benchmark, name, what, sense, limit in PROMISES:
        runs = [run for run in results[benchmark] if name in run]
        calmest = min(runs, key=disturbed)
        value, told = calmest[name], ", ".join(f"{run[name]:.3g}" for run in runs)
        met = limit is None or (value <= limit if sense == "≤" else value >= limit)
        promised, note = "" if limit is None else f"{sense} {limit:g}", "" if met else "**not met**"
        by_others = f"{disturbed(calmest):.0%}" if disturbed(calmest) < UNWATCHED else "not watched"
        lines.append(f"| {what} | {value:.3g} | {promised} | {note} | {told} | {by_others} |")
    return "\n".join(lines) + "\n"


def disturbed(run: dict[str, Any]) -> float:
    """What others and the hypervisor took of the cores while it ran."""
    return float(run["others_share"] + run["stolen_share"]) if "others_share" in run else UNWATCHED


def page(text: str, shown: str) -> str:
    start, end = text.index(HEAD) + len(HEAD), text.index(TAIL)
    return text[:start] + "\n" + shown + "\n" + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), figures(json.loads(RESULTS.read_text()))))
