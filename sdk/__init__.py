"""mm-edge: exports multimodal fusion models to verified bundles, and runs them live on edge devices.

The names below are what a user's program needs; modules: `mm_edge.spec` (what a model takes and gives), `mm_edge.zoo`
(encoders, fusions and heads in torch, and the models that ship), `mm_edge.front_ends` (preprocessing in torch).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mm_edge import front_ends, spec, zoo
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig
    from mm_edge.errors import (
        BundleError,
        ConfigError,
        DeviceError,
        EngineError,
        InputError,
        MissingExtraError,
        MmEdgeError,
        NotImplementedYetError,
        SourceLostError,
        UnavailableError,
        UsageError,
        WorkFailedError,
    )
    from mm_edge.export import export
    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.session.open import open_session as open  # noqa: A004  # `mm_edge.open(...)` is how it is meant to be read
    from mm_edge.runtime.session.session import Session
    from mm_edge.runtime.sink import RunInfo, Sink, Summary
    from mm_edge.runtime.source import Capture, Opened, Source
    from mm_edge.sample import Event, Prediction
    from mm_edge.spec import ModelSpec

# Where each name is defined. They are resolved on first use, so that `import mm_edge` is quick and loads nothing else.
_HOMES = {
    "open": "mm_edge.runtime.session.open:open_session",
    "export": "mm_edge.export",
    "Bundle": "mm_edge.bundle.bundle:Bundle",
    "Session": "mm_edge.runtime.session.session:Session",
    "RunConfig": "mm_edge.config:RunConfig",
    "ModelSpec": "mm_edge.spec:ModelSpec",
    "Prediction": "mm_edge.sample:Prediction",
    "Event": "mm_edge.sample:Event",
    "Source": "mm_edge.runtime.source:Source",
    "Capture": "mm_edge.runtime.source:Capture",
    "Opened": "mm_edge.runtime.source:Opened",
    "Sink": "mm_edge.runtime.sink:Sink",
    "RunInfo": "mm_edge.runtime.sink:RunInfo",
    "Summary": "mm_edge.runtime.sink:Summary",
    "Engine": "mm_edge.runtime.engine:Engine",
    "spec": "mm_edge.spec",
    "zoo": "mm_edge.zoo",
    "front_ends": "mm_edge.front_ends",
    "MmEdgeError": "mm_edge.errors:MmEdgeError",
    "WorkFailedError": "mm_edge.errors:WorkFailedError",
    "UsageError": "mm_edge.errors:UsageError",
    "ConfigError": "mm_edge.errors:ConfigError",
    "BundleError": "mm_edge.errors:BundleError",
    "InputError": "mm_edge.errors:InputError",
    "UnavailableError": "mm_edge.errors:UnavailableError",
    "DeviceError": "mm_edge.errors:DeviceError",
    "EngineError": "mm_edge.errors:EngineError",
    "MissingExtraError": "mm_edge.errors:MissingExtraError",
    "NotImplementedYetError": "mm_edge.errors:NotImplementedYetError",
    "SourceLostError": "mm_edge.errors:SourceLostError",
}
__all__ = [  # noqa: RUF022  # in the order of the reference
    "open",
    "export",
    "Bundle",
    "Session",
    "RunConfig",
    "ModelSpec",
    "Prediction",
    "Event",
    "Source",
    "Capture",
    "Opened",
    "Sink",
    "RunInfo",
    "Summary",
    "Engine",
    "spec",
    "zoo",
    "front_ends",
    "MmEdgeError",
    "WorkFailedError",
    "UsageError",
    "ConfigError",
    "BundleError",
    "InputError",
    "UnavailableError",
    "DeviceError",
    "EngineError",
    "MissingExtraError",
    "NotImplementedYetError",
    "SourceLostError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mm-edge")
    if name not in _HOMES:
        raise AttributeError(f"module 'mm_edge' has no attribute '{name}'")
    from importlib import import_module

    module, _, attribute = _HOMES[name].partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted(__all__)
