"""The cache folder of mm-edge: $XDG_CACHE_HOME/mm-edge, or ~/.cache/mm-edge."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """The folder of one kind of content (`engines`, `export`, `zoo`); its writers create it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mm-edge" / kind
