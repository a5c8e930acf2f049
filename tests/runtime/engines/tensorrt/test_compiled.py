"""A loaded engine and its contexts: TensorRT says no by returning False or None, and each no becomes one message."""

from types import SimpleNamespace

import pytest

from mm_edge.errors import EngineError, WorkFailedError
from mm_edge.runtime.engines.tensorrt.compiled import TensorRtCompiled, load_engine
from mm_edge.runtime.engines.tensorrt.library import ErrorLog, Library

SHAPES = {"x": (1, 4), "y": (1, 2)}
ADDRESSES = {"x": 4096, "y": 8192}
MODES = SimpleNamespace(INPUT="input", OUTPUT="output")
PLACES = SimpleNamespace(DEVICE="device", HOST="host")


class Context:
    """An execution context that does as it is told; `says_no` names the call that refuses."""

    def __init__(self, errors, says_no=""):
        self.errors, self.says_no, self.calls = errors, says_no, []
        self.shapes = dict(SHAPES)

    def _answer(self, name, *given):
        self.calls.append((name, *given))
        if self.says_no == name:
            self.errors.add(f"{name} failed because")
        return self.says_no != name

    def set_input_shape(self, name, shape):
        return self._answer("set_input_shape", name, shape)

    def set_tensor_address(self, name, address):
        return self._answer("set_tensor_address", name, address)

    def execute_async_v3(self, stream):
        return self._answer("execute_async_v3", stream)

    def infer_shapes(self):
        return [] if self.says_no != "infer_shapes" else ["y"]

    def get_tensor_shape(self, name):
        return self.shapes[name]


class Engine:
    """An engine with one input `x` that may have one to eight rows, and one output `y`."""

    num_io_tensors, device_memory_size_v2 = 2, 3 << 20

    def __init__(self, context, place=PLACES.DEVICE):
        self.context, self.place = context, place

    def get_tensor_name(self, number):
        return ("x", "y")[number]

    def get_tensor_mode(self, name):
        return MODES.INPUT if name == "x" else MODES.OUTPUT

    def get_tensor_location(self, name):
        return self.place

    def get_tensor_profile_shape(self, name, profile):
        return [(1, 4), (1, 4), (8, 4)]

    def create_execution_context(self):
        return self.context


def library_with(engine, errors):
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda content: engine)
    trt = SimpleNamespace(TensorIOMode=MODES, TensorLocation=PLACES, Runtime=lambda logger: runtime)
    return Library("tensorrt", trt, "10.3.0", None, errors)


def compiled(says_no=""):
    errors = ErrorLog()
    context = Context(errors, says_no)
    return TensorRtCompiled(library_with(None, errors), None, Engine(context), "'x' in fp16"), context


def test_a_context_is_bound_once_and_then_only_enqueued():
    made, fake = compiled()
    context = made.context()
    context.bind(SHAPES, ADDRESSES)
    assert fake.calls == [
        ("set_input_shape", "x", (1, 4)),
        ("set_tensor_address", "x", 4096),
        ("set_tensor_address", "y", 8192),
    ]
    context.enqueue(7)
    assert fake.calls[3:] == [("execute_async_v3", 7)]


@pytest.mark.parametrize(
    ("says_no", "kind", "told"),
    [
        ("set_input_shape", EngineError, r"'x' of \[1, 4\] was refused: set_input_shape failed because"),
        ("set_tensor_address", EngineError, "the address of 'x' was refused: set_tensor_address failed because"),
        ("infer_shapes", EngineError, "the shapes of y cannot be inferred"),
    ],
)
def test_what_is_refused_while_it_is_bound_is_told(says_no, kind, told):
    with pytest.raises(kind, match=f"binding 'x' in fp16: {told}"):
        compiled(says_no)[0].context().bind(SHAPES, ADDRESSES)


def test_a_shape_outside_of_the_profile_is_told_with_both():
    made, fake = compiled()
    with pytest.raises(EngineError, match=r"'x' has the shape \[9, 4\], the engine was built for \[1, 4\] to \[8, 4\]"):
        made.context().bind({"x": (9, 4), "y": (9, 2)}, ADDRESSES)
    assert not fake.calls


def test_an_output_of_another_shape_than_the_manifests_is_told_with_both():
    made, fake = compiled()
    fake.shapes["y"] = (1, 3)
    with pytest.raises(EngineError, match=r"'y' has the shape \[1, 3\], expected is \[1, 2\]"):
        made.context().bind(SHAPES, ADDRESSES)


def test_work_that_is_not_enqueued_is_told():
    context = compiled("execute_async_v3")[0].context()
    context.bind(SHAPES, ADDRESSES)
    with pytest.raises(EngineError, match="running 'x' in fp16: it was not enqueued: execute_async_v3 failed because"):
        context.enqueue(7)


def test_a_context_that_gets_no_memory_is_told_with_its_size():
    errors = ErrorLog()
    made = TensorRtCompiled(library_with(None, errors), None, Engine(None), "'x' in fp16")
    with pytest.raises(EngineError, match=r"making a context of 3 MiB for 'x' in fp16.*--set loop.depth=1"):
        made.context()


def test_bytes_that_are_no_engine_here_are_told():
    order = SimpleNamespace(label="'x' in fp16")
    with pytest.raises(WorkFailedError, match=r"loading 'x' in fp16 with TensorRT 10\.3\.0"):
        load_engine(library_with(None, ErrorLog()), b"", order)


def test_a_tensor_that_wants_host_memory_is_refused():
    order = SimpleNamespace(label="'x' in fp16")
    with pytest.raises(WorkFailedError, match="'x' must be in host memory"):
        load_engine(library_with(Engine(None, PLACES.HOST), ErrorLog()), b"", order)
