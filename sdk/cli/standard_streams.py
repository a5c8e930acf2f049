"""Standard output and error that were closed before the start are opened on the null device."""

from __future__ import annotations

import os
import sys

LAST = 2  # the descriptor of standard error
_closed: set[str] = set()


def open_closed() -> None:
    """The next file that is opened would get a closed one's number, and receive what is written to that stream."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= LAST:
        pass
    os.close(opened)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            _closed.add(name)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


def was_closed(name: str) -> bool:
    """`stdout` or `stderr`."""
    return name in _closed
