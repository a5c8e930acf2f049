"""Opens TensorRT or TensorRT-RTX as an engine of this machine's GPU, or reports what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mm_edge.errors import ConfigError
from mm_edge.runtime.engines.cuda.open import open_gpu

from .compiler import TensorRtCompiler
from .library import TITLES, load_library
from .order import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.runtime.engine import Engine
    from mm_edge.runtime.engines.building import Watch

    from .library import Kind

LEVELS = range(6)


def open_tensorrt(
    kind: Kind, options: Mapping[str, Any], watch: Watch, read_file: Callable[[str], bytes] | None = None
) -> Engine:
    """`options`: `level`, TensorRT's builder optimization level; `graphs`, whether CUDA graphs are launched."""
    made, use_graphs = read_options(options, kind)
    # The device first: without a working driver, loading the library may end the process.
    device = open_gpu(kind, TITLES[kind])
    from mm_edge.runtime.engines.cuda.engine import CudaEngine

    compiler = TensorRtCompiler(load_library(kind), device, watch, options=made, read_file=read_file)
    return CudaEngine(kind, device, compiler, use_graphs=use_graphs)


def read_options(options: Mapping[str, Any], kind: Kind) -> tuple[Options, bool]:
    action = f"reading engine.options for {TITLES[kind]}"
    if unknown := set(options) - {"level", "graphs"}:
        raise ConfigError(
            f"unknown options: {', '.join(sorted(unknown))}", action=action, hint="Valid options: level, graphs"
        )
    level, graphs = options.get("level", Options().level), options.get("graphs", True)
    if level not in LEVELS or isinstance(level, bool):
        raise ConfigError(f"level must be 0 to {LEVELS[-1]}, not {level!r}", action=action)
    if not isinstance(graphs, bool):
        raise ConfigError(f"graphs must be true or false, not {graphs!r}", action=action)
    return Options(level=int(level)), graphs
