"""From a graph to an engine: out of the cache where it fits, built anew where it does not, and the reason is told."""

import json
from types import SimpleNamespace

import pytest

from mm_edge.bundle.manifest import EngineFile
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.engines.building import BuildStopped, Watch
from mm_edge.runtime.engines.tensorrt import compiler
from mm_edge.runtime.engines.tensorrt.build import Built
from mm_edge.runtime.engines.tensorrt.cache import EngineCache
from mm_edge.runtime.engines.tensorrt.compiler import TensorRtCompiler
from mm_edge.runtime.engines.tensorrt.layers import LayerTypes, check_layers
from mm_edge.runtime.engines.tensorrt.order import Options
from mm_edge.spec import TensorSpec

PART = SimpleNamespace(
    name="fuse",
    takes=(TensorSpec("x", "float32", ("batch", 4)),),
    gives=(TensorSpec("y", "float32", ("batch", 2)),),
    engines=(EngineFile("tensorrt-rtx", "sm87", "1.7.1.116", "fp16", "engines/fuse.engine", "a" * 64),),
)
SHAPES = {"x": (1, 4), "y": (1, 2)}


class Machine:
    """A device, a library, and how its builder and loader behave."""

    name, capability, driver, free = "Orin", "8.7", "12060", 4 << 30

    def __init__(self, tmp_path, monkeypatch):
        self.library = SimpleNamespace(kind="tensorrt", version="10.3.0", title="TensorRT 10.3.0")
        self.cache, self.said, self.builds, self.unloadable = EngineCache(tmp_path / "engines"), [], [], set()
        self.layers_fail = False
        monkeypatch.setattr(compiler, "build_engine", self._build)
        monkeypatch.setattr(compiler, "load_engine", self._load)
        monkeypatch.setattr(compiler, "check_layers", self._check)

    def free_bytes(self):
        return self.free

    def compiler(self, **changes):
        return TensorRtCompiler(self.library, self, Watch(announce=self.said.append), self.cache, **changes)

    def compile(self, graph=b"graph", precision="fp16", **changes):
        return self.compiler(**changes).compile(PART, precision, graph, SHAPES)

    def _build(self, library, order, watch, **given):
        self.builds.append((order, given))
        return Built(f"engine {len(self.builds)} of {order.graph.decode()}".encode(), b"timings", {"HALF": 1})

    def _load(self, library, content, order):
        if content in self.unloadable:
            raise WorkFailedError("cudaErrorInvalidSource", action=f"loading {order.label}")
        return SimpleNamespace(engine=None, content=content)

    def _check(self, library, engine, order, heavy):
        if self.layers_fail:
            raise WorkFailedError("it has 3 layers, 3 computing with fp32")
        return LayerTypes(3, {"fp16": 3})


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_the_first_start_builds_and_the_second_loads(machine):
    first, second = machine.compile(), machine.compile()
    assert first.content == second.content == b"engine 1 of graph"
    assert len(machine.builds) == 1
    assert machine.said[0] == "building 'fuse' in fp16 with TensorRT 10.3.0: it was not built here before"
    assert "3 layers, 3 computing with fp16" in machine.said[1]
    assert len(machine.said) == 2


def test_a_build_gets_the_memory_that_is_free_and_the_timings_that_are_kept(machine):
    machine.compile()
    machine.compile(b"another graph")
    (first, given), (second, again) = machine.builds
    assert (given["free_bytes"], given["timings"], again["timings"]) == (4 << 30, b"", b"timings")
    assert (first.limits["x"].known, second.graph) == ((1, 4), b"another graph")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda machine: setattr(machine, "driver", "13000"),
            "12060 to 13000; the last build took 0 s",
        ),
        (lambda machine: setattr(machine, "name", "Thor"), "device changed from Orin to Thor"),
        (lambda machine: setattr(machine.library, "version", "10.13.3"), "version changed from 10.3.0 to 10.13.3"),
        (lambda machine: machine.unloadable.add(b"engine 1 of graph"), "does not load (cudaErrorInvalidSource)"),
    ],
    ids=["driver", "device", "version", "does not load"],
)
def test_what_changed_is_built_again_by_itself_and_said(machine, change, told):
    machine.compile()
    change(machine)
    assert machine.compile().content == b"engine 2 of graph"
    assert told in " ".join(machine.said[2:])


def test_other_options_are_another_engine(machine):
    machine.compile()
    machine.compile(options=Options(level=5))
    assert len(machine.builds) == 2
    machine.compile()
    machine.compile(options=Options(level=5))
    assert len(machine.builds) == 2


def test_an_engine_that_fell_back_is_not_kept(machine):
    machine.layers_fail = True
    with pytest.raises(WorkFailedError, match="3 computing with fp32"):
        machine.compile()
    machine.layers_fail = False
    machine.compile()
    assert len(machine.builds) == 2


def test_a_build_that_was_stopped_leaves_nothing(machine, monkeypatch):
    def stopped(*given, **more):
        raise BuildStopped

    monkeypatch.setattr(compiler, "build_engine", stopped)
    with pytest.raises(BuildStopped):
        machine.compile()
    assert not list(machine.cache.folder.glob("*.engine"))


@pytest.fixture
def rtx(machine):
    """The machine with the very version that the bundle's engine was built by."""
    machine.library.kind, machine.library.version = "tensorrt-rtx", "1.7.1.116"
    return machine


def test_an_engine_of_the_bundle_is_loaded_where_it_is_for_this_gpu_and_version(rtx):
    made = rtx.compiler(read_file=lambda name: b"ahead: " + name.encode())
    assert made.compile(PART, "fp16", b"graph", SHAPES).content == b"ahead: engines/fuse.engine"
    assert made.describe()["built"] == {"fuse": "from the bundle, built for sm87; 3 layers, 3 computing with fp16"}
    assert not rtx.builds


@pytest.mark.parametrize(
    "change",
    [
        lambda machine: setattr(machine, "capability", "8.6"),
        lambda machine: setattr(machine.library, "version", "1.8.0"),
        lambda machine: setattr(machine.library, "kind", "tensorrt"),
    ],
    ids=["another GPU", "another version", "another library"],
)
def test_an_engine_of_the_bundle_for_something_else_is_left_alone(rtx, change):
    change(rtx)
    made = rtx.compiler(read_file=lambda name: pytest.fail("read"))
    assert made.compile(PART, "fp16", b"graph", SHAPES).content == b"engine 1 of graph"


def test_an_engine_of_the_bundle_that_does_not_load_is_told_and_built_here(rtx):
    rtx.unloadable.add(b"ahead")
    made = rtx.compiler(read_file=lambda name: b"ahead")
    assert made.compile(PART, "fp16", b"graph", SHAPES).content == b"engine 1 of graph"
    assert rtx.said[0] == "the engine of 'fuse' in fp16 in the bundle is not used: cudaErrorInvalidSource"


def test_an_engine_of_a_bundle_that_is_not_trusted_is_never_loaded_and_built_here(rtx, monkeypatch):
    loaded, load = [], compiler.load_engine
    monkeypatch.setattr(compiler, "load_engine", lambda *given: (loaded.append(given[1]), load(*given))[1])
    made = rtx.compiler(read_file=None)
    assert made.compile(PART, "fp16", b"graph", SHAPES).content == b"engine 1 of graph"
    assert loaded == [b"engine 1 of graph"]
    why = "the engine of 'fuse' in fp16 in the bundle is not used: its signature was not checked with a trusted key"
    assert rtx.said[0].startswith(why)
    assert made.describe()["unused_engines"]["fuse"].startswith(why)


def shows(kind):
    """An engine of one layer that computes with that."""
    told = json.dumps({"Layers": [{"LayerType": "gemm", "Name": "g", "Inputs": [], "Outputs": [{"Format": kind}]}]})
    inspector = SimpleNamespace(get_engine_information=lambda form: told)
    return SimpleNamespace(create_engine_inspector=lambda: inspector)


@pytest.mark.parametrize(
    ("kind", "half", "taken"),
    [("FP32", 1, False), ("FP32", 0, True), ("FP16", None, True)],
    ids=["fell back", "has nothing in half to show", "needs no look at the graph"],
)
def test_an_engine_of_the_bundle_must_show_the_precision_that_its_graph_has(rtx, monkeypatch, kind, half, taken):
    rtx.library.trt = SimpleNamespace(LayerInformationFormat=SimpleNamespace(JSON=1))
    monkeypatch.setattr(compiler, "check_layers", check_layers)
    monkeypatch.setattr(compiler, "heavy_layers", lambda library, order: {"HALF": half} if half is not None else 1 / 0)
    engines = {b"ahead": shows(kind), b"engine 1 of graph": shows("FP16")}
    monkeypatch.setattr(
        compiler, "load_engine", lambda _, content, order: SimpleNamespace(engine=engines[content], content=content)
    )
    made = rtx.compiler(read_file=lambda name: b"ahead").compile(PART, "fp16", b"graph", SHAPES)
    assert made.content == (b"ahead" if taken else b"engine 1 of graph")
    assert taken or "in the bundle is not used: it has 1 layers, 1 computing with fp32" in rtx.said[0]
