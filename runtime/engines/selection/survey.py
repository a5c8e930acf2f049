"""Which engine `auto` takes here and why not the others, and what the last runs settled on: for `doctor`."""

from __future__ import annotations

from mm_edge.doctor.finding import Finding
from mm_edge.runtime.engines.available import ON_A_GPU, missing

from .remembered import recall


def survey() -> list[Finding]:
    lacks = {name: list(missing(name)) for name in ON_A_GPU}
    ready = [name for name, why in lacks.items() if not why]
    taken = f"{', then '.join(ready)}, if it builds and passes the golden check; else " if ready else ""
    facts = {"ready": ready, "lacks": {name: why for name, why in lacks.items() if why}}
    findings = [Finding("auto takes", "ok", f"{taken}onnxruntime on the CPU", facts=facts)]
    by_reason: dict[str, list[str]] = {}
    for name, why in lacks.items():
        if why:
            by_reason.setdefault(why[0], []).append(name)  # the rest stands in the facts, and above by package
    findings += [Finding("it passes over", "missing", f"{', '.join(names)}: {why}") for why, names in by_reason.items()]
    for each in recall():
        told = [f"{name} should have run: {why}" for name, why in each.tried.items()] + each.fell
        hint = "mm-edge build BUNDLE shows it again; the bench tells what it costs" if told else ""
        found = "; ".join([f"ran on {each.engine}", *told])
        facts = {"engine": each.engine, "precisions": each.precisions, "fell": each.fell, "tried": each.tried}
        findings.append(Finding(f"'{each.bundle}' here", "warning" if told else "ok", found, hint, facts))
    return findings
