"""For `doctor`: which engine `auto` selects here, why others are skipped, and what the last runs selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import to_builtins

from mm_edge.doctor.finding import Finding
from mm_edge.runtime.engines.available import ON_A_GPU, missing

from .remembered import recall
from .tuned import recall_all

if TYPE_CHECKING:
    from .tuned import Tuned


def survey() -> list[Finding]:
    lacks = {name: list(missing(name)) for name in ON_A_GPU}
    ready = [name for name, why in lacks.items() if not why]
    first = f"{', then '.join(ready)}, if it builds and passes the golden check; else " if ready else ""
    facts = {"ready": ready, "missing": {name: why for name, why in lacks.items() if why}}
    findings = [Finding("auto selects", "ok", f"{first}onnxruntime on the CPU", facts=facts)]
    by_reason: dict[str, list[str]] = {}
    for name, why in lacks.items():
        if why:
            by_reason.setdefault(why[0], []).append(name)  # the other reasons are in the facts
    findings += [Finding("auto skips", "missing", f"{', '.join(names)}: {why}") for why, names in by_reason.items()]
    for each in recall():
        problems = [f"{name} should have run: {why}" for name, why in each.failed_engines.items()] + each.fallbacks
        hint = "mm-edge build BUNDLE repeats the selection; mm-edge bench measures the cost" if problems else ""
        found = "; ".join([f"ran on {each.engine}", *problems])
        facts = {
            "engine": each.engine,
            "precisions": each.precisions,
            "fallbacks": each.fallbacks,
            "failed_engines": each.failed_engines,
        }
        findings.append(Finding(f"'{each.bundle}' here", "warning" if problems else "ok", found, hint, facts))
    return findings + [_of_tuned(tuned) for tuned in recall_all()]


def _of_tuned(tuned: Tuned) -> Finding:
    by = "mm-edge tune" if tuned.origin == "tune" else "a run"
    loss = "" if tuned.loss is None else f", largest relative error {tuned.loss:.2g}"
    facts = {"choice": to_builtins(tuned.choice), "gain": tuned.gain, "loss": tuned.loss}
    found = f"{tuned.choice} ({tuned.gain:.2f} of the default's value, measured by {by}{loss})"
    return Finding(f"'{tuned.bundle}' for {tuned.goal}", "ok", found, facts=facts)
