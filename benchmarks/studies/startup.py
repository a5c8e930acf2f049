"""How long mm-edge takes to start: above bare Python, and against the two budgets that a user feels."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mm_edge.doctor.processor import processor

RUNS = 15
_COMMAND = str(Path(sys.executable).with_name("mm-edge"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    'python -c "import mm_edge"': [sys.executable, "-c", "import mm_edge"],
    "mm-edge --help": [_COMMAND, "--help"],
    "mm-edge verify --help": [_COMMAND, "verify", "--help"],
}
BARE, IMPORT, HELP, _ = COMMANDS
IMPORT_BUDGET_S = 0.15  # above bare Python
HELP_BUDGET_S = 0.5


@dataclass(frozen=True)
class Startup:
    """The quickest of several runs of each command, in seconds.

    `cpu` is what the processor spent on it, `wall` what the clock showed. Starting is one thread's work, so on an idle
    machine both are the same; on a busy one `wall` also counts what others do. The budgets are held against `cpu`.
    """

    cpu: dict[str, float]
    wall: dict[str, float]

    @property
    def import_above_bare_s(self) -> float:
        return self.cpu[IMPORT] - self.cpu[BARE]

    @property
    def help_s(self) -> float:
        return self.cpu[HELP]

    @property
    def good(self) -> bool:
        return self.import_above_bare_s < IMPORT_BUDGET_S and self.help_s < HELP_BUDGET_S


def measure(runs: int = RUNS) -> Startup:
    """The commands take turns, so that a busy moment does not fall on one of them alone."""
    startup = Startup(dict.fromkeys(COMMANDS, float("inf")), dict.fromkeys(COMMANDS, float("inf")))
    for _ in range(runs):
        for name, command in COMMANDS.items():
            cpu, wall = _run(command)
            startup.cpu[name] = min(startup.cpu[name], cpu)
            startup.wall[name] = min(startup.wall[name], wall)
    return startup


def _run(command: list[str]) -> tuple[float, float]:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, wall


def report(startup: Startup) -> str:
    """The whole of docs/startup.md."""
    rows = ["| command | CPU | clock | times bare Python (CPU) |", "|---|---|---|---|"]
    for name, cpu in startup.cpu.items():
        ratio = cpu / startup.cpu[BARE]
        rows.append(f"| `{name}` | {cpu * 1000:.0f} ms | {startup.wall[name] * 1000:.0f} ms | {ratio:.1f} |")
    paragraphs = [
        "# What starting costs",
        "<!-- Made by: python -m mm_edge.benchmarks.studies.startup > docs/startup.md -->",
        (
            f"The quickest of {RUNS} runs, on {_machine()}. CPU is what the processor spent; the clock also counts "
            "what else went on there."
        ),
        "\n".join(rows),
        (
            f"`import mm_edge`: {startup.import_above_bare_s * 1000:.0f} ms above bare Python, "
            f"{IMPORT_BUDGET_S * 1000:.0f} ms allowed."
        ),
        f"`mm-edge --help`: {startup.help_s * 1000:.0f} ms, {HELP_BUDGET_S * 1000:.0f} ms allowed.",
        "Both budgets hold." if startup.good else "BROKEN: a budget does not hold.",
    ]
    return "\n\n".join(paragraphs)


def _machine() -> str:
    found = {finding.name: finding.found for finding in processor()}
    return f"{found['CPU']}, {found['cores']}, load {found.get('load', 'unknown')}, Python {platform.python_version()}"


def main() -> None:
    startup = measure()
    print(report(startup))
    sys.exit(0 if startup.good else 1)


if __name__ == "__main__":
    main()
