"""What this process has used, CPU time and resident memory, and how it gives memory back."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES / 1e6


def give_back_freed() -> None:
    """Hands what was freed back to the system. glibc keeps it, in as many heaps as threads have loaded something; where
    the C library is another one, nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
