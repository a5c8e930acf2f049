"""How long mm-edge takes to start: above bare Python, and against the two budgets that a user feels."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

RUNS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    'python -c "import mm_edge"': [sys.executable, "-c", "import mm_edge"],
    "mm-edge --help": [str(Path(sys.executable).with_name("mm-edge")), "--help"],
    "mm-edge verify --help": [str(Path(sys.executable).with_name("mm-edge")), "verify", "--help"],
}
BARE, IMPORT, HELP, VERB = COMMANDS
IMPORT_BUDGET_S = 0.15  # above bare Python
HELP_BUDGET_S = 0.5


@dataclass(frozen=True)
class Startup:
    """Seconds from start to end of each command, the quickest of several runs: what others do here only adds to it."""

    seconds: dict[str, float]

    @property
    def import_above_bare_s(self) -> float:
        return self.seconds[IMPORT] - self.seconds[BARE]

    @property
    def good(self) -> bool:
        return self.import_above_bare_s < IMPORT_BUDGET_S and self.seconds[HELP] < HELP_BUDGET_S


def measure(runs: int = RUNS) -> Startup:
    """The commands take turns, so that a busy moment does not fall on one of them alone."""
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(runs):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            best[name] = min(best[name], time.perf_counter() - start)
    return Startup(best)


def report(startup: Startup) -> str:
    bare = startup.seconds[BARE]
    rows = [
        f"| `{name}` | {seconds * 1000:.0f} ms | {(seconds - bare) * 1000:.0f} ms | {seconds / bare:.1f} |"
        for name, seconds in startup.seconds.items()
    ]
    head = ["| command | quickest | above bare Python | times bare Python |", "|---|---|---|---|"]
    budgets = (
        f"Budgets: the import at most {IMPORT_BUDGET_S * 1000:.0f} ms above bare Python, "
        f"`--help` at most {HELP_BUDGET_S * 1000:.0f} ms in all. Both are {'held' if startup.good else 'BROKEN'}."
    )
    return "\n".join([*head, *rows, "", budgets])


def main() -> None:
    startup = measure()
    print(report(startup))
    sys.exit(0 if startup.good else 1)


if __name__ == "__main__":
    main()
