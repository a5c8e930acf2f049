"""Where mm-edge keeps what it can make again: $XDG_CACHE_HOME/mm-edge, else ~/.cache/mm-edge."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(room: str) -> Path:
    """The folder of one room (`engines`, `zoo`); whoever writes there makes it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mm-edge" / room
