"""Whether there is enough memory: a limit that is too low kills libraries while they are loaded, without a message."""

from __future__ import annotations

import resource

from mm_edge.errors import UsageError

LEAST_BYTES = 1 << 30  # of addresses: OpenCV crashes while it is loaded in less than 0.6 GB
COMMANDS = frozenset({"run", "export", "build", "train", "bench"})
# What libraries say when the kernel gives them no memory.
PHRASES = ("cannot allocate memory", "failed to map segment", "can't start new thread", "bad_alloc", "out of memory")
HINT = "Close other programs, or raise the limits (ulimit -v, or the memory of the container)"


def check_address_space(command: str) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if command in COMMANDS and limit != resource.RLIM_INFINITY and limit < LEAST_BYTES:
        raise UsageError(
            f"the address space is limited to {limit >> 20} MiB, at least {LEAST_BYTES >> 20} are needed",
            action=f"starting mm-edge {command}",
            hint="Raise the limit: ulimit -v unlimited",
        )


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(phrase in f"{error}".lower() for phrase in PHRASES)
