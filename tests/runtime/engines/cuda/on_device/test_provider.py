"""ONNX Runtime's CUDA provider over the test driver: its session is a double, what is asked of it is the real thing."""

import ctypes

import numpy as np
import onnxruntime as ort
import pytest
from bundles import graph, senses_bundle, tensor
from onnx import TensorProto, helper
from sinks import Kept
from sources import Script, pictures

from mm_edge.bundle.bundle import Bundle
from mm_edge.bundle.manifest import Artefact, Part, Read
from mm_edge.config import EngineConfig, RunConfig
from mm_edge.errors import EngineError
from mm_edge.runtime.engine import DeviceMemoryError
from mm_edge.runtime.engines.cuda import onnxruntime as provider
from mm_edge.runtime.engines.cuda.engine import CudaEngine
from mm_edge.runtime.engines.cuda.faults import DeviceLostError
from mm_edge.runtime.session.run import Run
from mm_edge.spec import TensorSpec

REAL = ort.InferenceSession
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
FLOATS = TensorSpec(name="given", dtype="float32", shape=("batch", "width"))


class Binding:
    """Keeps what was bound, and refuses what is not on the device."""

    def __init__(self):
        self.bound = {}

    def bind_input(self, name, kind, number, dtype, shape, address):
        assert (kind, number) == ("cuda", 0)
        self.bound[name] = (np.dtype(dtype), tuple(shape), address)

    bind_output = bind_input


class SessionDouble:
    """A session of the provider: puts its run on the stream that it was given, as the real one's run does."""

    made = ()
    fails = ""

    def __init__(self, content, options, providers, *, enable_fallback):
        assert not enable_fallback
        if self.fails:
            raise RuntimeError(self.fails)
        ((name, given),) = providers
        assert name == "CUDAExecutionProvider"
        self.options, self.given, self.runs = options, given, 0
        self._inner = REAL(content, providers=["CPUExecutionProvider"])
        self._stream = ctypes.c_void_p(int(given["user_compute_stream"]))
        self._driver, self._kept = ctypes.CDLL("libcuda.so.1"), []
        SessionDouble.made = (*SessionDouble.made, self)

    def get_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def io_binding(self):
        return Binding()

    def run_with_iobinding(self, binding, options):
        assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        if self.fails:
            raise RuntimeError(self.fails)
        self.runs += 1
        self.put(dict(binding.bound))

    def put(self, bound):
        inner = self._inner.io_binding()
        for names, bind in (
            (self._inner.get_inputs(), inner.bind_ortvalue_input),
            (self._inner.get_outputs(), inner.bind_ortvalue_output),
        ):
            for each in names:
                dtype, shape, address = bound[each.name]
                memory = (ctypes.c_char * (int(np.prod(shape)) * dtype.itemsize)).from_address(address)
                array = np.frombuffer(memory, dtype).reshape(shape)
                bind(each.name, ort.OrtValue.ortvalue_from_numpy(array))
        work = HOST_FUNCTION(lambda _: self._inner.run_with_iobinding(inner))
        self._kept.append((work, inner))
        assert self._driver.cuLaunchHostFunc(self._stream, work, None) == 0


class CopySession(SessionDouble):
    """Does on the device what an Identity does: nothing for the host in between."""

    def put(self, bound):
        (dtype, shape, source), (_, _, to) = bound["given"], bound["taken"]
        size = ctypes.c_size_t(int(np.prod(shape)) * dtype.itemsize)
        assert self._driver.cuMemcpyDtoDAsync_v2(ctypes.c_uint64(to), ctypes.c_uint64(source), size, self._stream) == 0


@pytest.fixture
def sessions(monkeypatch):
    def use(kind):
        monkeypatch.setattr(kind, "fails", "")
        monkeypatch.setattr(SessionDouble, "made", ())
        monkeypatch.setattr(ort, "InferenceSession", kind)
        return kind

    return use


def opened(device, *, graphs=False, **options):
    return CudaEngine(provider.NAME, device, provider.CudaProviderCompiler(device, options), use_graphs=graphs)


def identity():
    content = graph(
        "same",
        [helper.make_node("Identity", ["given"], ["taken"])],
        [tensor("given", TensorProto.FLOAT, "batch", "width")],
        [tensor("taken", TensorProto.FLOAT, "batch", "width")],
    )
    gives = TensorSpec(name="taken", dtype="float32", shape=("batch", "width"))
    artefacts = {"fp32": Artefact(file="same.onnx", sha256="0" * 64)}
    reads = {"given": Read(source="input:given")}
    part = Part(name="same", kind="encode", reads=reads, takes=(FLOATS,), gives=(gives,), artefacts=artefacts)
    return part, content, {"given": (1, 6), "taken": (1, 6)}


def test_the_loop_runs_on_it_and_nothing_is_stale(driver, device, sessions, tmp_path):
    sessions(SessionDouble)
    before = driver.counts()

    def run():
        with Bundle.open(senses_bundle(tmp_path / "senses.mmb", golden=True)) as bundle:
            kept, engine = Kept(), opened(device, gpu_mem_limit="1073741824")
            config = RunConfig(engine=EngineConfig(precision="fp32"))
            with Run(bundle, config, [Script("image", pictures(60))], [kept], engine=engine) as session:
                assert session.wait(100)
            session.raise_error()
        return kept.predictions, kept.summary.engine["graphs"]

    predictions, graphs = run()
    assert [round(item.outputs["seen"]["red"] * 255) for item in predictions] == list(range(60))
    assert set(graphs.values()) == {"not requested"}
    made, SessionDouble.made = SessionDouble.made, ()
    assert {session.given["enable_cuda_graph"] for session in made} == {"0"}
    assert {session.given["gpu_mem_limit"] for session in made} == {"1073741824"}
    assert len({session.given["user_compute_stream"] for session in made}) == len(made) == 4
    assert made[0].options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
    assert driver.counts() == before


def test_its_run_is_captured_once_it_is_steady(driver, device, sessions):
    sessions(CopySession)
    part, content, shapes = identity()
    with device.current():
        engine = opened(device, graphs=True)
        executable = engine.load(part, "fp32", content, shapes, 1)
        slot, buffer = executable.slot(["taken"]), engine.buffer((1, 6), np.dtype(np.float32))
        (session,) = SessionDouble.made
        assert engine.describe()["graphs"] == {"same": "captured"}
        runs, launches = session.runs, driver.count("graph_launches")
        for number in range(5):
            buffer.wait_until_read()
            buffer.array[...] = number
            slot.run([buffer])
            np.testing.assert_array_equal(slot.outputs["taken"].host(), np.full((1, 6), number, np.float32))
        assert session.runs == runs  # the graph ran, not the session
        assert driver.count("graph_launches") - launches == 5
        executable.close()
        engine.close()


def test_buffers_that_take_turns_are_warmed_up_once_each(driver, device, sessions):
    """Where host and device share one memory, and there is no graph: each change of buffers binds the session anew."""
    sessions(SessionDouble)
    part, content, shapes = identity()
    with device.current():
        engine = opened(device)
        executable = engine.load(part, "fp32", content, shapes, 1)
        executable.reads_in_place = True
        slot = executable.slot(["taken"])
        (session,) = SessionDouble.made
        buffers, runs = [engine.buffer((1, 6), np.dtype(np.float32)) for _ in range(2)], session.runs
        for number in range(10):
            buffer = buffers[number % 2]
            buffer.wait_until_read()
            buffer.array[...] = number
            slot.run([buffer])
            assert slot.outputs["taken"].host().sum() == 6 * number
        assert session.runs - runs == 10 + len(buffers) * executable.compiled.runs_until_steady
        executable.close()
        engine.close()


def test_a_run_that_leaves_work_for_the_host_is_not_replayed(driver, device, sessions):
    """The provider frees what it took for a run from such work; done twice, it would free it twice."""
    sessions(SessionDouble)
    part, content, shapes = identity()
    with device.current():
        engine = opened(device, graphs=True)
        executable = engine.load(part, "fp32", content, shapes, 1)
        slot, buffer = executable.slot(["taken"]), engine.buffer((1, 6), np.dtype(np.float32))
        told = engine.describe()["graphs"]["same"]
        assert told == ("none: capturing 'same' in fp32 as a CUDA graph: host functions, which may run only once: 1")
        buffer.array[...] = 7
        slot.run([buffer])
        assert slot.outputs["taken"].host().sum() == 42
        assert driver.count("graphs") == 0
        executable.close()
        engine.close()


@pytest.mark.parametrize(
    ("said", "kind", "shown"),
    [
        (
            "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=h ; expr=cudaFree(p);",
            DeviceLostError,
            "the GPU is lost: ONNX Runtime failed with CUDA_ERROR_ILLEGAL_ADDRESS .CUDA failure 700.*expr=cudaFree",
        ),
        (
            "CUDA failure 2: out of memory ; GPU=0",
            DeviceMemoryError,
            "ONNX Runtime failed with CUDA_ERROR_OUT_OF_MEMORY",
        ),
        (
            "bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 67108864",
            DeviceMemoryError,
            "buffer of size 67108864",
        ),
        ("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation", EngineError, "NOT_IMPLEM"),
    ],
)
def test_what_it_raises_is_told_by_cudas_names(driver, device, sessions, monkeypatch, said, kind, shown):
    sessions(SessionDouble)
    part, content, shapes = identity()
    with device.current():
        engine = opened(device)
        executable = engine.load(part, "fp32", content, shapes, 1)
        slot, buffer = executable.slot(), engine.buffer((1, 6), np.dtype(np.float32))
        monkeypatch.setattr(SessionDouble, "fails", said)
        with pytest.raises(kind, match=shown) as raised:
            slot.run([buffer])
        assert type(raised.value) is kind
        monkeypatch.setattr(provider, "_check_libraries", lambda _: None)  # they are all there
        with pytest.raises(kind, match=f"loading 'same' in fp32 with ONNX Runtime's CUDA provider: .*{shown}"):
            engine.load(part, "fp32", content, shapes, 1)
        executable.close()
        engine.close()


def test_a_provider_that_does_not_load_is_an_error_that_names_the_library(driver, device, sessions, monkeypatch):
    """As this ONNX Runtime really does: it is built without the provider."""
    sessions(SessionDouble)
    monkeypatch.setattr(ort, "InferenceSession", REAL)
    part, content, shapes = identity()
    with device.current():
        engine = opened(device)
        with pytest.raises(EngineError, match=r"does not load here: .*libonnxruntime_providers_\w+.so") as raised:
            engine.load(part, "fp32", content, shapes, 1)
        assert raised.value.exit_code == 3
        engine.close()


def test_shapes_are_built_into_the_session(device):
    part, _, shapes = identity()
    assert provider._dimensions(part, shapes) == {("batch", 1), ("width", 6)}
