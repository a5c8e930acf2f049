"""A run whose parts fail at random: every state is reported in time, nothing is lost uncounted, and it ends with 0.

The run, its sources, sinks and page are those of the product; a seed determines what fails when.

python -m mm_edge.benchmarks.studies.live.chaos [--minutes N] [--seed N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.benchmarks.bench.machine import Watch
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.cores import processor_name, usable_cores
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sinks.jsonl import JsonlSink
from mm_edge.runtime.sources.text.literal import LiteralText
from mm_edge.runtime.view.server import ViewServer
from mm_edge.shipped import default_bundle
from mm_edge.spec import AudioInput

from .faults.make import Faults, exit_code_of, unbalanced
from .faults.schedule import Fault, schedule
from .faults.witness import NEVER_MS

if TYPE_CHECKING:
    from mm_edge.runtime.sink import Sink, Summary
    from mm_edge.runtime.source import Source

    from .faults.witness import Report

RECOVERED_WITHIN_S = 2.0


def chaos(minutes: float = 10.0, seed: int = 0, bundle_path: Path | None = None) -> dict[str, Any]:
    """`faults`: each with its reports; `late`: those over their limit; `wrong`: whatever else is not as it must be."""
    path = bundle_path or default_bundle()
    plan, watch = schedule(seed, minutes * 60), Watch()
    page = ViewServer(port=0)
    page.start()
    with tempfile.TemporaryDirectory() as folder, Bundle.open(path) as bundle:
        lines = Path(folder).resolve() / "predictions.jsonl"
        audio = next(spec for spec in bundle.manifest.inputs if isinstance(spec, AudioInput))
        faults = Faults(lines, audio.prepare, seed)
        sources: list[Source] = [faults.camera, faults.mic, LiteralText("text", "the red ball")]
        sinks: list[Sink] = [faults.witness, faults.sink, page, JsonlSink(str(lines))]
        run = Run(bundle, RunConfig(), sources, sinks, engine=faults.engine)
        with run:
            faults.port = page.port
            told = _make_all(faults, plan, run)
            recovered = _recovers(faults)
        content = lines.read_bytes()
    summary, code = run.summary, exit_code_of(run)
    late = [
        f"{fault.kind} at {fault.at_s} s: {report.what} after {report.ms} ms, limit {report.limit_ms:.0f}"
        for fault, reports in told
        for report in reports
        if not report.in_time
    ]
    wrong = faults.wrong + unbalanced(summary) + _miscounted(summary, faults, content)
    wrong += [] if recovered else ["the last prediction is not healthy, although nothing fails any more"]
    wrong += [f"exit code {code}"] if code else []
    conditions = watch.conditions()
    return {
        "seed": seed,
        "minutes": minutes,
        "exit_code": code,
        "captured": dict(summary.captured) if summary else {},
        "predictions": summary.predictions if summary else 0,
        "dropped": {name: dict(causes) for name, causes in summary.dropped.items()} if summary else {},
        "dropped_by_sinks": {name: dict(causes) for name, causes in summary.sinks.items()} if summary else {},
        "reports": worst(told),
        "late": late,
        "wrong": wrong,
        "others_share": conditions.others,
        "stolen_share": conditions.stolen,
        "faults": [
            [fault.kind, fault.at_s, fault.seconds, {report.what: report.ms for report in reports}]
            for fault, reports in sorted(told, key=lambda pair: pair[0].at_s)
        ],
    }


def _make_all(faults: Faults, plan: dict[str, list[Fault]], run: Run) -> list[tuple[Fault, list[Report]]]:
    """Each part fails in a thread of its own."""
    began_s = time.monotonic()
    told: list[tuple[Fault, list[Report]]] = []

    def fail(lane: list[Fault]) -> None:
        try:
            for fault in lane:
                if run.wait(max(0.0, began_s + fault.at_s - time.monotonic())):
                    return
                told.append((fault, faults.make(fault)))
        except Exception as error:  # noqa: BLE001  # whatever it is, the chaos run has not shown what it must show
            faults.wrong.append(f"a fault could not be made: {type(error).__name__}: {error}")

    lanes = [threading.Thread(target=fail, args=(lane,), name=f"chaos-{name}") for name, lane in plan.items()]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    if run.wait(0):
        faults.wrong.append("the run ended before its time")
    return told


def _recovers(faults: Faults) -> bool:
    until_s = time.monotonic() + RECOVERED_WITHIN_S
    while time.monotonic() < until_s:
        last = faults.witness.seen[-1]
        if last.health == "ok" and last.audio != "missing" and last.t_ns > time.monotonic_ns() - 1_000_000_000:
            return True
        time.sleep(0.05)
    return False


def _miscounted(summary: Summary | None, faults: Faults, lines: bytes) -> list[str]:
    """What the summary says about losses, compared with what arrived."""
    if summary is None:
        return []
    wrong = []
    failed = summary.dropped["image"].get("failed", 0)
    if failed != faults.parts_failed:
        wrong.append(f"{faults.parts_failed} parts failed, and {failed} moments are counted as failed")
    written = [_is_prediction(line) for line in lines.splitlines(keepends=True)]
    if None in written:
        wrong.append("a full disk left a broken line")
    for name, arrived in {"witness": len(faults.witness.seen), "jsonl": written.count(True)}.items():
        lost = sum(summary.sinks[name].values())
        if not arrived <= summary.predictions <= arrived + lost:
            wrong.append(f"{arrived} of {summary.predictions} predictions arrived at {name}, which lost {lost}")
    return wrong


def _is_prediction(line: bytes) -> bool | None:
    """None: it is not a complete line of JSON."""
    try:
        return json.loads(line)["kind"] == "prediction" if line.endswith(b"\n") else None
    except ValueError:
        return None


def worst(told: list[tuple[Fault, list[Report]]]) -> dict[str, dict[str, Any]]:
    """By fault and state: how often it was reported, the longest time until then, and the limit."""
    reports: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for fault, of_fault in told:
        for report in of_fault:
            reports[fault.kind, report.what].append(report)
    return {
        f"{kind}, {what}": {
            "count": len(found),
            "late": sum(not report.in_time for report in found),
            "longest_ms": max((report.ms for report in found), key=lambda ms: (ms == NEVER_MS, ms)),
            "limit_ms": round(found[0].limit_ms, 1),
        }
        for (kind, what), found in sorted(reports.items())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    machine = {"cpu": processor_name(), "cores": usable_cores(), "python": platform.python_version()}
    found = {"machine": machine, **chaos(given.minutes, given.seed)}
    print(json.dumps({key: value for key, value in found.items() if key != "faults"}, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if not_met := found["late"] + found["wrong"]:
        sys.exit("; ".join(not_met))


if __name__ == "__main__":
    main()
