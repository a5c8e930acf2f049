"""mm-edge: models that see, hear and read, proven at export and run live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mm_edge.bundle import Bundle
    from mm_edge.errors import MmEdgeError
    from mm_edge.sample import Event, Prediction
    from mm_edge.spec import ModelSpec

__version__ = "0.1.0"
__all__ = ["Bundle", "Event", "MmEdgeError", "ModelSpec", "Prediction", "__version__"]

# Names are resolved on first use, so that `import mm_edge` is quick and `import mm_edge.errors` loads nothing else.
_HOMES = {
    "Bundle": "mm_edge.bundle",
    "MmEdgeError": "mm_edge.errors",
    "Event": "mm_edge.sample",
    "Prediction": "mm_edge.sample",
    "ModelSpec": "mm_edge.spec",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mm_edge' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
