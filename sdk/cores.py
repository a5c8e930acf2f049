"""The processor: its name, and how many cores this process may use by its CPU affinity and its cgroup."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

ROOT = Path("/")


def usable_cores() -> int:
    """Whole cores, at least one: how many threads can run at the same time."""
    return max(1, round(core_share()))


def core_share(root: Path = ROOT) -> float:
    """The smaller of the affinity and the quota, which may be a fraction. `root` is where /proc and /sys are read."""
    quotas = [quota for quota in (_quota_v2(root), _quota_v1(root)) if quota]
    return min([float(_affinity()), *quotas])


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota_v2(root: Path) -> float | None:
    """The tightest cpu.max from this process's cgroup up to the root."""
    found = []
    lines = _read(root / "proc/self/cgroup").splitlines()
    group = next((line[3:] for line in lines if line.startswith("0::")), "/")
    parts = [part for part in group.split("/") if part and part != ".."]
    for depth in range(len(parts) + 1):
        text = _read(root.joinpath("sys/fs/cgroup", *parts[:depth], "cpu.max"))
        if match := re.fullmatch(r"(\d+) (\d+)", text):
            found.append(int(match[1]) / int(match[2]))
    return min(found, default=None)


def _quota_v1(root: Path) -> float | None:
    for folder in ("cpu", "cpu,cpuacct"):
        quota = _read(root / f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us")
        period = _read(root / f"sys/fs/cgroup/{folder}/cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):  # -1 is no limit
            return int(quota) / int(period)
    return None


def _read(path: Path) -> str:
    """Empty where the file cannot be read: another kind of cgroup, or another system."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def processor_name(root: Path = ROOT) -> str:
    """From the kernel, or the architecture where it gives no name."""
    try:
        with (root / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:  # not the whole file: on a machine with many cores it is long
                key, _, value = line.partition(":")
                if key.strip() in {"model name", "Hardware"}:
                    return " ".join(value.split())
    except OSError:
        pass
    return platform.machine()
