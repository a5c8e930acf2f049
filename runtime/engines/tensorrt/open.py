"""Opens TensorRT or TensorRT-RTX as an engine of this machine's GPU, or says which piece is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.errors import ConfigError, DeviceError, NotBuiltYetError
from mm_edge.runtime.engines.available import missing

from .library import TITLES, load_library
from .order import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.engines.building import Watch

    from .library import Kind

LEVELS = range(6)


def open_tensorrt(kind: Kind, options: Mapping[str, Any], watch: Watch) -> Engine:
    """`options`: `level`, TensorRT's builder optimization level."""
    made = read_options(options, kind)
    if lacks := list(missing(kind)):
        raise DeviceError(
            "; ".join(lacks),
            asked=f"running on {TITLES[kind]}",
            todo="mm-edge doctor; --engine onnxruntime runs everywhere",
        )
    library = load_library(kind)
    raise NotBuiltYetError(f"the loop on a GPU is not built yet ({made}, {watch})", asked=f"running on {library.title}")


def read_options(options: Mapping[str, Any], kind: Kind) -> Options:
    asked = f"reading engine.options for {TITLES[kind]}"
    if unknown := set(options) - {"level"}:
        raise ConfigError(f"it does not know {', '.join(sorted(unknown))}", asked=asked, todo="It takes: level")
    level = options.get("level", Options().level)
    if level not in LEVELS or isinstance(level, bool):
        raise ConfigError(f"level is 0 to {LEVELS[-1]}, not {level!r}", asked=asked)
    return Options(level=int(level))
