"""The CPU: the usable cores, and the instructions that make int8 fast."""

from __future__ import annotations

import os
import platform
import re

from mm_edge.cores import core_share

from . import system
from .finding import Finding
from .system import listed, read

# CPU features that make int8 faster than float, by their Linux names.
FAST_INT8 = {
    "avx512_vnni": "VNNI",
    "avx_vnni": "VNNI",
    "amx_int8": "AMX",
    "asimddp": "NEON dot product",
    "i8mm": "i8mm",
}
WORTH_NAMING = {"avx2": "AVX2", "avx512f": "AVX-512", "asimd": "NEON", "sve": "SVE", "amx_tile": "AMX", **FAST_INT8}


def processor() -> list[Finding]:
    return [_model(), _cores(), _instructions(), *_governor(), *_load()]


def _model() -> Finding:
    text = read("proc/cpuinfo") or ""
    names = re.findall(r"^(?:model name|Hardware|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    name = names[0] if names else read("proc/device-tree/model") or platform.processor() or "unknown"
    return Finding("CPU", "ok", f"{name}, {platform.machine()}")


def _cores() -> Finding:
    total, bound, usable = os.cpu_count() or 1, len(os.sched_getaffinity(0)), core_share(system.ROOT)
    facts = {"total": total, "bound_to": bound, "usable": usable}
    if usable == total:
        return Finding("cores", "ok", f"all {total} usable", facts=facts)
    why = f"bound to {bound} (affinity or cpuset)" if usable == bound else "limited by the quota of its cgroup"
    hint = "Give the container more cores (--cpus, --cpuset-cpus); thread counts follow the usable cores"
    return Finding("cores", "warning", f"{usable:g} of {total} usable, {why}", hint, facts)


def _instructions() -> Finding:
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", read("proc/cpuinfo") or "", re.MULTILINE)
    if not match:
        return Finding(
            "instructions",
            "missing",
            "not reported by the kernel",
            "Measure int8 instead: mm-edge bench BUNDLE --scenario parts",
        )
    flags = set(match[1].split())
    known = list(dict.fromkeys(name for flag, name in WORTH_NAMING.items() if flag in flags))
    facts = {"flags": sorted(flags & set(WORTH_NAMING))}
    if flags & set(FAST_INT8):
        return Finding("instructions", "ok", ", ".join(known), facts=facts)
    found = f"{', '.join(known) or 'no known extensions'}; no fast int8 instructions"
    return Finding(
        "instructions", "warning", found, "fp32 may be as fast as int8 on this CPU: compare with mm-edge bench", facts
    )


def _governor() -> list[Finding]:
    modes = {
        read(f"sys/devices/system/cpu/{path.name}/cpufreq/scaling_governor")
        for path in listed("sys/devices/system/cpu/cpu[0-9]*")
    } - {None}
    if not modes:
        return []
    found = ", ".join(sorted(mode for mode in modes if mode))
    if modes <= {"performance", "schedutil"}:
        return [Finding("CPU governor", "ok", found)]
    hint = "For steady latencies: sudo cpupower frequency-set -g performance"
    return [Finding("CPU governor", "warning", found, hint)]


def _load() -> list[Finding]:
    text = read("proc/loadavg")
    if not text:
        return []
    load, usable = float(text.split()[0]), core_share(system.ROOT)
    if load <= usable:
        return [Finding("load", "ok", f"{load:g} over the last minute")]
    return [
        Finding(
            "load",
            "warning",
            f"{load:g} over the last minute on {usable:g} cores",
            "Other processes are using the CPU: latencies will be higher than on an idle machine",
        )
    ]
