"""Writes docs/benchmarks.md from recorded results: python -m mm_edge.benchmarks.studies.document > FILE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mm_edge.benchmarks.bench.budget import hold, read_budgets
from mm_edge.benchmarks.bench.report import read_report
from mm_edge.benchmarks.bench.table import BUDGETS, FIGURES, budget_rows, figure_rows, machine_lines, number
from mm_edge.benchmarks.peers.results import Results, winners

from .proving import Agreement, Proof

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_edge.benchmarks.bench.figure import Heat

PROVING = "mm_edge.benchmarks.studies.proving"
RESULTS = Path(__file__).resolve().parents[1] / "results"  # of the tree, also where the install is links to it
HEAD = """# Benchmarks

<!-- Made by: python -m mm_edge.benchmarks.studies.document > docs/benchmarks.md -->

What mm-edge measures of itself on this class of machine, and how to measure it on yours. [bench.md](bench.md) says what
each word means."""


def document(results: Path = RESULTS) -> str:
    """The whole page. What has not been measured is left out, with a line that says so."""
    return (
        "\n\n".join([HEAD, *_bench(results / "bench.json"), *_proof(results / "proof.json"), *_peers(results)]) + "\n"
    )


def _bench(path: Path) -> list[str]:
    if not path.exists():
        return ["## The bench\n\nNot measured yet: `mm-edge bench`"]
    report = read_report(path)
    held = hold(report, read_budgets())
    return [
        "## The bundle that ships\n\n    mm-edge bench --json benchmarks/results/bench.json --html bench.html",
        "\n".join(f"- {line}" for line in machine_lines(report)),
        *_doubts(report.machine.heat),
        _table(FIGURES, figure_rows(report)),
        *(f"{note[0].upper()}{note[1:]}." for note in report.notes),
        "### Budgets\n\n" + _table(BUDGETS, budget_rows(held)),
    ]


def _proof(path: Path) -> list[str]:
    title = "## Is the bench itself right?"
    if not path.exists():
        return [title, "Not measured yet: `python -m mm_edge.benchmarks.studies.proving FOLDER`"]
    proof = msgspec.json.decode(path.read_bytes(), type=Proof)
    seconds, doubted = f"{proof.seconds_a_run:g}", f"{proof.doubts} of the {proof.runs} runs"
    rows = [
        *(
            (f"{what} of two unchanged runs that differ by less than the first printed", _agreed(agreement))
            for what, agreement in (("values", proof.values), ("ratios to floors", proof.ratios))
        ),
        ("one part was 5 % slower, and `--baseline` accused it", f"{proof.caught} of {proof.slowed}"),
        ("of those, another was accused too", f"{proof.innocents} of {proof.slowed}"),
        ("unchanged runs in which anything was accused", f"{proof.accused} of {proof.unchanged}"),
        ("the harness, of the shortest thing that it timed", f"{proof.overhead_of_shortest:.2%}"),
    ]
    return [
        title,
        f"    python -m {PROVING} FOLDER --seconds {seconds} --json benchmarks/results/proof.json",
        f"Scenario `parts`, {seconds} s a run, {proof.machine}; {doubted} were marked as not to be relied on.",
        _table(("", "found"), rows),
    ]


def _agreed(agreement: Agreement) -> str:
    share = agreement.within / agreement.pairs
    return f"{agreement.within} of {agreement.pairs} ({share:.0%}); printed: ±{agreement.wide:.1%} in the middle"


def _peers(results: Path) -> list[str]:
    title = "## What a user would pick instead"
    path = results / "peers.json"
    if not path.exists():
        return [title, "Not measured yet: `python -m mm_edge.benchmarks.peers`"]
    found = msgspec.json.decode(path.read_bytes(), type=list[Results])
    return [
        title,
        "    python -m mm_edge.benchmarks.peers --json benchmarks/results/peers.json",
        (
            "Each peer runs as its documentation shows, in an environment of its own, all in turns, in new processes "
            "every round. *Keeps up*: a camera at 30 a second. *Too slow*: frames come three times as fast as ours "
            "takes them offline. Age: from the capture to the answer, in whatever thread it comes. Memory: of the "
            "process, without the camera's frames. Start: from the start of the process, files cached. **Bold**: the "
            "best of its row, and whatever its rounds cannot tell from it."
        ),
        *(paragraph for each in found for paragraph in _side_by_side(each)),
    ]


def _side_by_side(found: Results) -> list[str]:
    rows = []
    for figure in found.peers[0].figures:
        best = winners(found, figure)
        told = ((peer.name, number(peer.figures[figure].value)) for peer in found.peers)
        rows.append((figure, *(f"**{value}**" if name in best else value for name, value in told)))
    rows.append((f"same answers as {found.right}", *(f"{peer.same_answers:.0%}" for peer in found.peers)))
    pinned = [(peer.name, peer.versions) for peer in found.peers if peer.versions]
    return [
        f"### {found.title}",
        (
            f"{found.model}; the same {found.frames} frames of 720 x 720; {found.rounds} rounds with {found.seconds:g} "
            f"s of each live run, on {found.when[:10]}. Keeps up: at {found.keeps_up_fps:g} a second; too slow: at "
            f"{found.too_slow_fps:g}."
        ),
        *_doubts(found.machine.heat),
        _table(("", *(peer.name for peer in found.peers)), rows),
        *(["What cannot run this model, and what it said:"] if found.absent else []),
        *(["\n".join(f"- {name}: `{why}`" for name, why in found.absent.items())] if found.absent else []),
        "\n".join(f"- {name}: " + ", ".join(f"{k} {v}" for k, v in versions.items()) for name, versions in pinned),
    ]


def _doubts(heat: Heat) -> list[str]:
    return [f"**Not to be relied on:** {doubt}." for doubt in heat.doubts]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    filled = [place for place, _ in enumerate(head) if any(row[place] for row in rows)]
    lines = [
        [head[place] for place in filled],
        ["---"] * len(filled),
        *([row[place] for place in filled] for row in rows),
    ]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> None:
    print(document(), end="")


if __name__ == "__main__":
    main()
