"""Memory, disk, temperature, and the engine cache."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING

from mm_edge.places import cache_folder

from .finding import Finding
from .system import listed, number, read

if TYPE_CHECKING:
    from pathlib import Path

LEAST_MEMORY_BYTES, LEAST_DISK_BYTES = 1 << 30, 2 << 30
HOT_CELSIUS = 85.0
GIB = 1 << 30


def storage() -> list[Finding]:
    return [_memory(), _engine_cache(), *_heat()]


def _memory() -> Finding:
    sizes: dict[str, str] = dict(re.findall(r"^(\w+):\s+(\d+) kB$", read("proc/meminfo") or "", re.MULTILINE))
    if "MemTotal" not in sizes:
        return Finding("memory", "missing", "not reported by the kernel", "Check that /proc is mounted")
    total, free = int(sizes["MemTotal"]) * 1024, int(sizes.get("MemAvailable") or sizes["MemTotal"]) * 1024
    limits = [number("sys/fs/cgroup/memory.max"), number("sys/fs/cgroup/memory/memory.limit_in_bytes")]
    limit = min([each for each in limits if each], default=total)
    found = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    facts = {"total": total, "available": free, "limit": min(limit, total)}
    if limit < total:
        found += f", limited to {limit / GIB:.1f} GiB by the cgroup"
    if min(free, limit) < LEAST_MEMORY_BYTES:
        return Finding(
            "memory",
            "warning",
            found,
            "Free memory, or use a smaller bundle: building engines needs a few GiB",
            facts,
        )
    return Finding("memory", "ok", found, facts=facts)


def _engine_cache() -> Finding:
    """Verified by writing and removing a temporary file."""
    folder = cache_folder("engines")
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        hint = (
            f"Every run would rebuild its engines: make {existing} writable, or set XDG_CACHE_HOME to a writable folder"
        )
        return Finding("engine cache", "error", f"{folder} is not writable: {error.strerror}", hint)
    found = f"{folder}, {free / GIB:.0f} GiB free"
    facts = {"path": str(folder), "free": free, "exists": folder.exists()}
    if free < LEAST_DISK_BYTES:
        hint = "Free disk space, or set XDG_CACHE_HOME to a larger disk"
        return Finding("engine cache", "warning", found, hint, facts)
    return Finding("engine cache", "ok", found, facts=facts)


def _heat() -> list[Finding]:
    heat = {}
    for zone in listed("sys/class/thermal/thermal_zone[0-9]*"):
        name, value = read(f"sys/class/thermal/{zone.name}/type"), number(f"sys/class/thermal/{zone.name}/temp")
        if name and value is not None and value > 0:
            heat[name] = value / 1000
    if not heat:
        return [Finding("temperature", "missing", "no sensors found (virtual machine or container)")]
    hottest = max(heat, key=lambda name: heat[name])
    found = f"{heat[hottest]:.0f} °C ({hottest}, the hottest of {len(heat)})"
    if heat[hottest] < HOT_CELSIUS:
        return [Finding("temperature", "ok", found, facts=heat)]
    return [Finding("temperature", "warning", found, "The CPU will throttle: check fan and airflow", heat)]


def may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)
