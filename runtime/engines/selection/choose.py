"""Opens an engine by name, chooses the precision and the threads of each part, and loads the parts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mm_edge.errors import EngineError, MissingExtraError
from mm_edge.runtime.engines.building import Watch
from mm_edge.runtime.engines.tensors import fixed_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Family, Manifest, Part, Precision
    from mm_edge.config import EngineConfig
    from mm_edge.runtime.engine import Engine, Executable
    from mm_edge.runtime.engines.tensorrt.library import Kind

PLUG_INS = "mm_edge.engines"
# The precisions that a request allows on a family of engines, in order: a part may exist only in a wider one.
_REQUESTS: dict[str, dict[str, tuple[Precision, ...]]] = {
    "cpu": {"fp32": ("fp32",), "fp16": ("fp16", "fp32"), "int8": ("int8-cpu", "fp32")},
    "gpu": {"fp32": ("fp32",), "fp16": ("fp16", "fp32"), "int8": ("int8-trt", "fp16", "fp32")},
}


def open_engine(
    config: EngineConfig, watch: Watch | None = None, read_file: Callable[[str], bytes] | None = None
) -> Engine:
    """The named engine, or an EngineError (exit code 3) with the reason; never another one. `auto` is the one that
    runs everywhere (select_engine.py tries the others first). `watch` is for engines that build; `read_file` reads
    the engines in a bundle that is trusted.
    """
    name, _, detail = config.name.partition(":")
    makers: dict[str, Callable[[], Engine]] = {
        "auto": lambda: _onnxruntime("", config),
        "onnxruntime": lambda: _onnxruntime(detail, config),
        "openvino": lambda: _openvino(config),
        "tensorrt": lambda: _tensorrt("tensorrt", config, watch, read_file),
        "tensorrt-rtx": lambda: _tensorrt("tensorrt-rtx", config, watch, read_file),
    }
    if name in makers:
        return makers[name]()
    from importlib.metadata import entry_points  # 0.05 s that built-in engines do not need

    for plug_in in entry_points(group=PLUG_INS):
        if plug_in.name == name:
            made: Engine = plug_in.load()(config)
            return made
    known = ", ".join([*makers, *(plug_in.name for plug_in in entry_points(group=PLUG_INS))])
    raise EngineError(
        f"no such engine; available are: {known}",
        action=f"--engine {config.name}",
        hint="mm-edge doctor lists the engines of this machine",
    )


def _onnxruntime(provider: str, config: EngineConfig) -> Engine:
    if provider == "cuda":
        from mm_edge.runtime.engines.cuda.onnxruntime import open_cuda_provider

        return open_cuda_provider(config.options)
    from mm_edge.runtime.engines.onnxruntime import CPU, OnnxRuntimeEngine

    return OnnxRuntimeEngine(provider or CPU, config.options)


def _tensorrt(
    kind: Kind, config: EngineConfig, watch: Watch | None, read_file: Callable[[str], bytes] | None
) -> Engine:
    from mm_edge.runtime.engines.tensorrt.open import open_tensorrt

    return open_tensorrt(kind, config.options, watch or Watch(), read_file)


def _openvino(config: EngineConfig) -> Engine:
    try:
        from mm_edge.runtime.engines.openvino import OpenVinoEngine
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise
        raise MissingExtraError("openvino", "openvino") from None
    return OpenVinoEngine(dict(config.options))


def choose_precisions(manifest: Manifest, family: Family, requested: str) -> dict[str, Precision]:
    """The precision of each part. A request that no part can follow is an error; where only some parts can, the others
    show their own precision.
    """
    if requested == "auto":
        preferred = manifest.preferred.get(family, {})
        return {
            part.name: preferred.get(part.name, _first(part, ("fp32", "fp16", "int8-cpu", "int8-trt")))
            for part in manifest.parts
        }
    wanted = _REQUESTS[family][requested]
    if not any(wanted[0] in part.artefacts for part in manifest.parts):
        present = sorted({precision for part in manifest.parts for precision in part.artefacts})
        raise EngineError(
            f"the bundle contains {', '.join(present)}",
            action=f"--precision {requested} on the {family}",
            hint="Export it in that precision, or use --precision auto",
        )
    return {part.name: _first(part, wanted) for part in manifest.parts}


def _first(part: Part, wanted: tuple[Precision, ...]) -> Precision:
    for precision in wanted:
        if precision in part.artefacts:
            return precision
    raise EngineError(
        f"it has only {', '.join(part.artefacts)}",
        action=f"the part '{part.name}' in one of {', '.join(wanted)}",
        hint="Export the bundle again",
    )


def share_threads(manifest: Manifest, cores: int, depth: int, requested: int) -> dict[str, int]:
    """Threads by part. Each of `depth` moments gets its share of the cores, divided by the cost of the parts: parallel
    moments use cores better than one graph on several threads.
    """
    if requested:
        return {part.name: requested for part in manifest.parts}
    costs = {part.name: max(part.cost.ms.values(), default=0.0) for part in manifest.parts}
    total = sum(costs.values())
    each = cores / depth
    return {name: max(1, int(each * cost / total)) if total else 1 for name, cost in costs.items()}


def load_parts(
    bundle: Bundle, engine: Engine, precisions: Mapping[str, Precision], threads: Mapping[str, int]
) -> dict[str, Executable]:
    """Loads every part from verified bytes, or raises the first error."""
    executables: dict[str, Executable] = {}
    for name, made in load_each(bundle, engine, bundle.manifest.parts, precisions, threads).items():
        if isinstance(made, Exception):
            raise made
        executables[name] = made
    return executables


def load_each(
    bundle: Bundle,
    engine: Engine,
    parts: Sequence[Part],
    precisions: Mapping[str, Precision],
    threads: Mapping[str, int],
    *,
    beside: Callable[[], object] = lambda: None,
) -> dict[str, Executable | Exception]:
    """Some parts, each loaded or with its error, in the order given. `beside` is called while they load."""
    manifest = bundle.manifest
    loaded: dict[str, Executable | Exception] = {}

    def load(part: Part) -> None:
        precision = precisions[part.name]
        try:
            graph = bundle.read(part.artefacts[precision].file)
            loaded[part.name] = engine.load(part, precision, graph, fixed_shapes(manifest, part), threads[part.name])
        except Exception as error:  # noqa: BLE001  # the caller decides; this is another thread
            loaded[part.name] = error

    # In parallel: an engine optimizes a graph on one core, without the interpreter.
    loaders = [threading.Thread(target=load, args=(part,)) for part in parts]
    for loader in loaders:
        loader.start()
    beside()
    for loader in loaders:
        loader.join()
    return {part.name: loaded[part.name] for part in parts}
