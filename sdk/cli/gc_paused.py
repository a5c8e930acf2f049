"""Starts without the garbage collector: what is imported and loaded stays, and to look for garbage in it costs time."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def gc_paused() -> Iterator[None]:
    """A tenth of what imports cost, and the look through all of it that would follow at once: what is there at the end
    is never looked through again. Where somebody has switched the collector off, it stays off.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
