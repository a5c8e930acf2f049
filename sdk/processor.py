"""The name of this machine's processor."""

from __future__ import annotations

import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
_KEYS = ("model name", "Hardware")


def processor_name(info: Path = CPU_INFO) -> str:
    """From the kernel, or the architecture where it gives no name."""
    try:
        with info.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:  # not the whole file: it is long on a machine with many cores, and slow to make
                key, _, value = line.partition(":")
                if key.strip() in _KEYS:
                    return " ".join(value.split())
    except OSError:
        pass
    return platform.machine()
