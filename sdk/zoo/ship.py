"""Puts a finished run's weights and report where the package ships them: python -m mm_edge.zoo.ship NAME RUN_FOLDER."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from mm_edge.errors import InputError

from .catalog import entry

WEIGHTS, REPORT = "weights.safetensors", "report.json"


def ship(name: str, run: Path) -> Path:
    """Copies both files; refuses a run that was only a quick look or is not finished."""
    action = f"shipping {run} as zoo:{name}"
    if not (run / REPORT).is_file():
        raise InputError(
            "there is no report.json", action=action, hint=f"Finish it: mm-edge train zoo:{name} --out {run}"
        )
    report = json.loads((run / REPORT).read_text())
    if report["model"] != name or report["quick"]:
        what = f"a quick look at {report['model']}" if report["quick"] else f"the model {report['model']}"
        raise InputError(f"it is {what}", action=action, hint=f"Train it: mm-edge train zoo:{name} --out ANOTHER")
    weights = entry(name).weights
    weights.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / WEIGHTS, weights)
    shutil.copyfile(run / REPORT, weights.with_suffix(".json"))
    return weights


if __name__ == "__main__":
    sys.stdout.write(f"{ship(sys.argv[1], Path(sys.argv[2]))}\n")
