"""What the builder is asked for, and what its progress comes to: TensorRT's own classes are stand-ins that keep it."""

from types import SimpleNamespace

import pytest

from mm_edge.runtime.engines.building import Watch
from mm_edge.runtime.engines.tensorrt import build, progress
from mm_edge.runtime.engines.tensorrt.library import ErrorLog, Library
from mm_edge.runtime.engines.tensorrt.order import Limits, Options, Order
from mm_edge.runtime.engines.tensorrt.progress import Meter, make_monitor

FREE_BYTES = 8 << 30


class Config:
    """A builder's configuration; `flags` are those that are on by default."""

    def __init__(self):
        self.flags, self.limits, self.timings = {"TF32", "SOMETHING"}, {}, None

    def clear_flag(self, flag):
        self.flags.remove(flag)

    def set_memory_pool_limit(self, pool, size):
        self.limits[pool] = size

    def create_timing_cache(self, content):
        return SimpleNamespace(content=content, serialize=lambda: content + b" and more")

    def set_timing_cache(self, cache, ignore_mismatch):
        self.timings = (cache.content, ignore_mismatch)
        return True


class Monitor:
    """As TensorRT's, it wants its own beginning to be called."""

    def __init__(self):
        self.begun = True


TRT = SimpleNamespace(
    BuilderFlag=SimpleNamespace(TF32="TF32"),
    ProfilingVerbosity=SimpleNamespace(DETAILED="detailed"),
    MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
    IProgressMonitor=Monitor,
)


@pytest.fixture
def requested(monkeypatch):
    """Builds, and gives the configuration that the builder got with what came of it."""
    config, network = Config(), SimpleNamespace(num_inputs=0)
    builder = SimpleNamespace(
        create_builder_config=lambda: config,
        create_optimization_profile=lambda: None,
        build_serialized_network=lambda got, by: b"engine" if (got, by) == (network, config) else None,
    )
    monkeypatch.setattr(build, "parse", lambda *_: SimpleNamespace(network=network, heavy={"HALF": 1}))
    trt = SimpleNamespace(**vars(TRT), Builder=lambda logger: builder)
    order = Order(SimpleNamespace(name="fuse"), "fp16", b"", {"x": Limits.fixed((1, 4))}, Options(level=4))

    def of(**given):
        built = build.build_engine(Library("tensorrt", trt, "10.3.0", None, ErrorLog()), order, Watch(), **given)
        return config, built

    return of


def test_a_build_rounds_no_fp32_shows_its_types_and_leaves_memory_to_others(requested):
    config, built = requested(free_bytes=FREE_BYTES, timings=b"timed before")
    assert config.flags == {"SOMETHING"}
    assert config.profiling_verbosity == "detailed"
    assert config.limits == {"workspace": FREE_BYTES // 2}
    assert config.builder_optimization_level == 4
    assert config.timings == (b"timed before", False)
    assert config.progress_monitor.begun
    assert (built.engine, built.timings, built.heavy) == (b"engine", b"timed before and more", {"HALF": 1})


def test_a_build_for_another_machine_bounds_no_memory_of_this_one(requested):
    assert requested()[0].limits == {}


@pytest.mark.parametrize(
    ("usual_s", "left_s"),
    [(None, 30.0), (25.0, 15.0), (5.0, 30.0)],
    ids=["by its share", "by how long it took before", "by its share, once it takes longer than before"],
)
def test_the_time_that_is_left_is_told(monkeypatch, usual_s, left_s):
    steps, now = [], SimpleNamespace(s=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.s)
    monitor = make_monitor(TRT, Meter("fuse fp16", Watch(report=steps.append), usual_s, _started_s=0.0))
    monitor.phase_start("Building engine", None, 2)
    now.s = 1.0
    monitor.phase_start("Timing kernels", "Building engine", 10)
    now.s = 10.0
    assert monitor.step_complete("Timing kernels", 4)  # half of the first half
    assert steps[0].left_s == usual_s  # nothing is done yet: nobody can tell, but by the time before
    assert (steps[-1].phase, steps[-1].share, steps[-1].left_s) == ("Timing kernels", 0.25, pytest.approx(left_s))
