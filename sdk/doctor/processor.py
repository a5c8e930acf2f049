"""The CPU: the cores that may really be used, and the instructions that make int8 fast."""

from __future__ import annotations

import os
import platform
import re

from .finding import Finding
from .system import listed, number, read

# What a CPU must know for int8 to be faster than float, by the name that Linux gives it.
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
    return Finding("CPU", "good", f"{name}, {platform.machine()}")


def usable_cores() -> float:
    """How many cores this process gets: the smaller of what it is bound to and what its group may use."""
    quotas = [quota for quota in (_quota_v2(), _quota_v1()) if quota]
    return min([float(len(os.sched_getaffinity(0))), *quotas])


def _cores() -> Finding:
    there, bound, usable = os.cpu_count() or 1, len(os.sched_getaffinity(0)), usable_cores()
    facts = {"there": there, "bound_to": bound, "usable": usable}
    if usable == there:
        return Finding("cores", "good", f"all {there} usable", facts=facts)
    why = f"bound to {bound} (affinity or cpuset)" if usable == bound else "limited by the quota of its cgroup"
    hint = "Give the container more (--cpus, --cpuset-cpus), or plan with these: threads follow what is usable"
    return Finding("cores", "note", f"{usable:g} of {there} usable, {why}", hint, facts)


def _quota_v2() -> float | None:
    """The tightest cpu.max on the way from this process's group up to the root."""
    found = []
    group = next((line[3:] for line in (read("proc/self/cgroup") or "").splitlines() if line.startswith("0::")), "/")
    parts = [part for part in group.split("/") if part and part != ".."]
    for depth in range(len(parts) + 1):
        text = read("/".join(["sys/fs/cgroup", *parts[:depth], "cpu.max"]))
        if text and (match := re.fullmatch(r"(\d+) (\d+)", text)):
            found.append(int(match[1]) / int(match[2]))
    return min(found, default=None)


def _quota_v1() -> float | None:
    for folder in ("cpu", "cpu,cpuacct"):
        quota = number(f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us")
        period = number(f"sys/fs/cgroup/{folder}/cpu.cfs_period_us")
        if quota and period and quota > 0:
            return quota / period
    return None


def _instructions() -> Finding:
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", read("proc/cpuinfo") or "", re.MULTILINE)
    if not match:
        return Finding(
            "instructions",
            "missing",
            "the kernel does not tell",
            "Measure instead: mm-edge bench BUNDLE --scenario parts",
        )
    flags = set(match[1].split())
    known = list(dict.fromkeys(name for flag, name in WORTH_NAMING.items() if flag in flags))
    facts = {"flags": sorted(flags & set(WORTH_NAMING))}
    if flags & set(FAST_INT8):
        return Finding("instructions", "good", ", ".join(known), facts=facts)
    found = f"{', '.join(known) or 'nothing of use'}; none that makes int8 fast"
    return Finding(
        "instructions", "note", found, "fp32 may be as quick as int8 here: compare with mm-edge bench", facts
    )


def _governor() -> list[Finding]:
    modes = {
        read(f"sys/devices/system/cpu/{path.name}/cpufreq/scaling_governor")
        for path in listed("sys/devices/system/cpu/cpu[0-9]*")
    } - {None}
    if not modes:
        return []
    told = ", ".join(sorted(mode for mode in modes if mode))
    if modes <= {"performance", "schedutil"}:
        return [Finding("clock governor", "good", told)]
    hint = "For steady latencies: sudo cpupower frequency-set -g performance"
    return [Finding("clock governor", "note", told, hint)]


def _load() -> list[Finding]:
    text = read("proc/loadavg")
    if not text:
        return []
    load, usable = float(text.split()[0]), usable_cores()
    if load <= usable:
        return [Finding("load", "good", f"{load:g} over the last minute")]
    return [
        Finding(
            "load",
            "note",
            f"{load:g} over the last minute on {usable:g} cores",
            "Others are at work here: figures will be worse than they could be",
        )
    ]
