"""Builds an engine: one way for TensorRT 10 and 11, and for TensorRT-RTX with a GPU or without."""

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
_WORKSPACE_SHARE = 0.5  # of what is free: buffers, other parts and, on Jetson, the system need the rest


@dataclass(frozen=True)
class Built:
    """An engine, and what was learnt while it was built. `heavy`: the network's heavy layers by type."""

    engine: bytes
    timings: bytes
    heavy: dict[str, int]
    notes: tuple[str, ...] = ()


def workspace_bytes(free_bytes: int) -> int:
    """How much device memory a build may use for trying kernels."""
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
    where the build is for another machine; `usual_s`: how long the same took before.
    """
    trt = library.trt
    action = f"building {order.label} with {library.title}"
    builder: Builder = library.builder()
    parsed = parse(library, builder, order, action)
    config: IBuilderConfig = builder.create_builder_config()
    mark = library.heard.mark()
    # On by default, and it rounds to ten bits of mantissa: nobody who asks for fp32 asks for that.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the engine can show its types afterwards
    config.builder_optimization_level = order.options.level
    if free_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes(free_bytes))
    _aim(library, config, order.options.capability, action)
    _add_profile(library, builder, config, parsed.network, order, action)
    cache, notes = _timing_cache(library, config, timings)
    monitor = make_monitor(trt, Meter(f"{order.part.name} {order.precision}", watch, usual_s))
    config.progress_monitor = monitor
    plan: IHostMemory = builder.build_serialized_network(parsed.network, config)
    if watch.stopped.is_set():
        raise BuildStopped
    if plan is None:
        raise WorkFailedError(library.heard.since(mark), action=action, hint="The builder refuses the network")
    learnt = b"" if cache is None else bytes(cache.serialize())
    return Built(bytes(plan), learnt, parsed.heavy, notes)


def _aim(library: Library, config: IBuilderConfig, capability: str | None, action: str) -> None:
    """At the GPU that is here, or at one that is not."""
    trt = library.trt
    if not hasattr(trt, "ComputeCapability"):
        if capability is None:
            return  # TensorRT itself builds for the GPU that is here and for no other
        raise UsageError(
            f"{library.title} builds only on the GPU that it is for",
            action=f"{action} for {capability}",
            hint="Build on the device: mm-edge build BUNDLE",
        )
    there = trt.ComputeCapability.__members__
    name = (capability or "current").upper()
    if name not in there:
        families = ", ".join(sorted(family.lower() for family in there if family.startswith("SM")))
        raise UsageError(
            f"{library.title} does not build for {capability}",
            action=action,
            hint=f"It builds for {families}; Jetson builds on the device",
        )
    mark = library.heard.mark()
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(there[name], 0):
        raise WorkFailedError(f"it refuses {name.lower()}: {library.heard.since(mark)}", action=action)


def _add_profile(  # noqa: PLR0917
    library: Library,
    builder: Builder,
    config: IBuilderConfig,
    network: INetworkDefinition,
    order: Order,
    action: str,
) -> None:
    """The bounds of the inputs whose shape may vary; the others are built in."""
    profile: IOptimizationProfile = builder.create_optimization_profile()
    varying = []
    for number in range(network.num_inputs):
        tensor: ITensor = network.get_input(number)
        bounds = order.limits[tensor.name]
        if bounds.least != bounds.most:
            profile.set_shape(tensor.name, bounds.least, bounds.usual, bounds.most)
            varying.append(f"'{tensor.name}' {list(bounds.least)} to {list(bounds.most)}")
    mark = library.heard.mark()
    if varying and config.add_optimization_profile(profile) < 0:
        raise WorkFailedError(
            f"the shapes {', '.join(varying)} are refused: {library.heard.since(mark)}", action=action
        )


def _timing_cache(
    library: Library, config: IBuilderConfig, timings: bytes
) -> tuple[ITimingCache | None, tuple[str, ...]]:
    """What was timed before, so that the same kernels need not be timed again."""
    if library.kind == "tensorrt-rtx":
        return None, ()  # it times no kernels, and warns whoever asks
    for content, note in ((timings, ()), (b"", ("the kept timings of kernels do not fit: all are timed anew",))):
        cache: ITimingCache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache, note
    return None, ("timings of kernels are not kept: it refuses a cache for them",)
