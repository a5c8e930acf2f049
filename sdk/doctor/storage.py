"""Memory, disk, heat, and whether engines can be kept."""

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
        return Finding("memory", "missing", "the kernel does not tell", "Is /proc mounted?")
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
            "note",
            found,
            "Close something, or choose a smaller bundle: building engines needs a few GiB",
            facts,
        )
    return Finding("memory", "good", found, facts=facts)


def _engine_cache() -> Finding:
    """Tried, not guessed: a file is really written and removed again."""
    folder = cache_folder("engines")
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        hint = (
            f"Engines would be built anew in every run: make {there} writable, or set XDG_CACHE_HOME to a place that is"
        )
        return Finding("engine cache", "broken", f"{folder} cannot be written: {error.strerror}", hint)
    found, facts = f"{folder}, {free / GIB:.0f} GiB free", {"path": str(folder), "free": free, "there": folder.exists()}
    if free < LEAST_DISK_BYTES:
        return Finding("engine cache", "note", found, "Make room, or set XDG_CACHE_HOME to a larger disk", facts)
    return Finding("engine cache", "good", found, facts=facts)


def _heat() -> list[Finding]:
    heat = {}
    for zone in listed("sys/class/thermal/thermal_zone[0-9]*"):
        name, value = read(f"sys/class/thermal/{zone.name}/type"), number(f"sys/class/thermal/{zone.name}/temp")
        if name and value is not None and value > 0:
            heat[name] = value / 1000
    if not heat:
        return [Finding("temperature", "missing", "this machine shows no sensors (a virtual machine or a container)")]
    hottest = max(heat, key=lambda name: heat[name])
    found = f"{heat[hottest]:.0f} °C ({hottest}, the hottest of {len(heat)})"
    if heat[hottest] < HOT_CELSIUS:
        return [Finding("temperature", "good", found, facts=heat)]
    return [Finding("temperature", "note", found, "It will slow itself down: see to fan and air", heat)]


def may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)
