"""Builds an engine: the same code for TensorRT 10 and 11, and for TensorRT-RTX with or without a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.runtime.engines.building import BuildStopped, Watch

from .network import parse
from .progress import Meter, make_monitor

if TYPE_CHECKING:
    from .library import Library
    from .names import (
        Builder,
        IBuilderConfig,
        IHostMemory,
        INetworkDefinition,
        IOptimizationProfile,
        ITensor,
        ITimingCache,
    )
    from .order import Order

LEAST_WORKSPACE_BYTES = 64 << 20
_WORKSPACE_SHARE = 0.5  # of the free memory: buffers, other parts and, on Jetson, the system need the rest


@dataclass(frozen=True)
class Built:
    """An engine, and what was learned while it was built. `heavy`: the network's computing layers by type."""

    engine: bytes
    timings: bytes
    heavy: dict[str, int]
    notes: tuple[str, ...] = ()


def workspace_bytes(free_bytes: int) -> int:
    """How much device memory a build may use to try kernels."""
    return max(LEAST_WORKSPACE_BYTES, int(free_bytes * _WORKSPACE_SHARE))


def build_engine(
    library: Library,
    order: Order,
    watch: Watch,
    *,
    free_bytes: int | None = None,
    timings: bytes = b"",
    usual_s: float | None = None,
) -> Built:
    """Raises a WorkFailedError with the library's own reason, or BuildStopped. `free_bytes`: of device memory, None
    if the build is for another machine; `usual_s`: the duration of an earlier build.
    """
    trt = library.trt
    action = f"building {order.label} with {library.title}"
    builder: Builder = library.builder()
    parsed = parse(library, builder, order, action)
    config: IBuilderConfig = builder.create_builder_config()
    mark = library.errors.mark()
    # On by default, and it rounds to ten bits of mantissa, which is not fp32.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the engine lists its types afterwards
    config.builder_optimization_level = order.options.level
    if free_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes(free_bytes))
    _set_target(library, config, order.options.capability, action)
    _add_profile(library, builder, config, parsed.network, order, action)
    cache, notes = _timing_cache(library, config, timings)
    monitor = make_monitor(trt, Meter(f"{order.part.name} {order.precision}", watch, usual_s))
    config.progress_monitor = monitor
    plan: IHostMemory = builder.build_serialized_network(parsed.network, config)
    if watch.stopped.is_set():
        raise BuildStopped
    if plan is None:
        raise WorkFailedError(library.errors.since(mark), action=action, hint="The builder rejects the network")
    learned = b"" if cache is None else bytes(cache.serialize())
    return Built(bytes(plan), learned, parsed.heavy, notes)


def _set_target(library: Library, config: IBuilderConfig, capability: str | None, action: str) -> None:
    """Sets the target: the GPU of this machine, or another one."""
    trt = library.trt
    if not hasattr(trt, "ComputeCapability"):
        if capability is None:
            return  # TensorRT builds only for the GPU of this machine
        raise UsageError(
            f"{library.title} builds only on the target GPU itself",
            action=f"{action} for {capability}",
            hint="Build on the device: mm-edge build BUNDLE",
        )
    targets = trt.ComputeCapability.__members__
    name = (capability or "current").upper()
    if name not in targets:
        families = ", ".join(sorted(family.lower() for family in targets if family.startswith("SM")))
        raise UsageError(
            f"{library.title} does not build for {capability}",
            action=action,
            hint=f"It builds for {families}. For Jetson, build on the device",
        )
    mark = library.errors.mark()
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(targets[name], 0):
        raise WorkFailedError(f"{name.lower()} was rejected: {library.errors.since(mark)}", action=action)


def _add_profile(  # noqa: PLR0917
    library: Library,
    builder: Builder,
    config: IBuilderConfig,
    network: INetworkDefinition,
    order: Order,
    action: str,
) -> None:
    """The bounds of inputs whose shape may vary; the others are fixed in the engine."""
    profile: IOptimizationProfile = builder.create_optimization_profile()
    varying = []
    for number in range(network.num_inputs):
        tensor: ITensor = network.get_input(number)
        bounds = order.limits[tensor.name]
        if bounds.least != bounds.most:
            profile.set_shape(tensor.name, bounds.least, bounds.usual, bounds.most)
            varying.append(f"'{tensor.name}' {list(bounds.least)} to {list(bounds.most)}")
    mark = library.errors.mark()
    if varying and config.add_optimization_profile(profile) < 0:
        raise WorkFailedError(
            f"the shapes {', '.join(varying)} were rejected: {library.errors.since(mark)}", action=action
        )


def _timing_cache(
    library: Library, config: IBuilderConfig, timings: bytes
) -> tuple[ITimingCache | None, tuple[str, ...]]:
    """The timing cache, so that the same kernels are not timed again."""
    if library.kind == "tensorrt-rtx":
        return None, ()  # it times no kernels, and logs a warning about a cache
    for content, note in ((timings, ()), (b"", ("the timing cache does not match: all kernels are timed again",))):
        cache: ITimingCache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache, note
    return None, ("no timing cache is used: the library rejects it",)
