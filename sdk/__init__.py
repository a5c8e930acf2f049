"""mm-edge: models that see, hear and read, proven at export and run live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.errors import MmEdgeError
    from mm_edge.runtime.session.open import open_session as open  # noqa: A004  # `mm_edge.open(...)` is how it is meant to be read
    from mm_edge.runtime.session.session import Session
    from mm_edge.sample import Event, Prediction
    from mm_edge.spec import ModelSpec

__version__ = "0.1.0"
__all__ = ["Bundle", "Event", "MmEdgeError", "ModelSpec", "Prediction", "Session", "__version__", "open"]

# Names are resolved on first use, so that `import mm_edge` is quick and `import mm_edge.errors` loads nothing else.
_HOMES = {
    "Bundle": "mm_edge.bundle.bundle:Bundle",
    "MmEdgeError": "mm_edge.errors:MmEdgeError",
    "Event": "mm_edge.sample:Event",
    "Prediction": "mm_edge.sample:Prediction",
    "Session": "mm_edge.runtime.session.session:Session",
    "ModelSpec": "mm_edge.spec:ModelSpec",
    "open": "mm_edge.runtime.session.open:open_session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mm_edge' has no attribute '{name}'")
    from importlib import import_module

    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
