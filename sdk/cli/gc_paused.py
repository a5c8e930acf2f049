"""Pauses the garbage collector during startup: imported modules stay alive, and scanning them costs time."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def gc_paused() -> Iterator[None]:
    """Saves a tenth of the import time and the full collection that would follow: objects alive at the end are frozen
    and never scanned again. If the collector was already disabled, it stays disabled.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
