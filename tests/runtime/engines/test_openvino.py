"""OpenVINO against ONNX Runtime on the same graph."""

import threading

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mm_edge.bundle.manifest import Artefact, Part, Read
from mm_edge.errors import ConfigError, EngineError
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.spec import TensorSpec

pytest.importorskip("openvino", reason="needs the extra 'openvino'")
from mm_edge.runtime.engines.openvino import OpenVinoEngine

SHAPES = {"image": (1, 16, 16, 3), "logits": (1, 5)}
PART = Part(
    name="encode_image",
    kind="encode",
    reads={"image": Read(source="input:image")},
    takes=(TensorSpec(name="image", dtype="uint8", shape=("batch", 16, 16, 3)),),
    gives=(TensorSpec(name="logits", dtype="float32", shape=("batch", 5)),),
    artefacts={"fp32": Artefact(file="encode_image.onnx", sha256="0" * 64)},
)


@pytest.fixture(scope="module")
def graph():
    """uint8 picture -> float -> flat -> linear, with a batch that is left open as exports leave it."""
    weights = np.random.default_rng(0).normal(size=(768, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    made = helper.make_graph(
        nodes,
        "encode_image",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 16, 16, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def results(engine, graph, pictures):
    """Two slots at once, each with pictures of its own."""
    executable = engine.load(PART, "fp32", graph, SHAPES, threads=1)
    found = {}

    def lane(number):
        engine.attach()
        slot, buffer = executable.slot(), engine.buffer(SHAPES["image"], np.dtype(np.uint8))
        for at in range(number, len(pictures), 2):
            buffer.array[:] = pictures[at]
            slot.run([buffer])
            found[at] = slot.outputs["logits"].host().copy()
        engine.detach()

    lanes = [threading.Thread(target=lane, args=(number,)) for number in range(2)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    executable.close()
    return np.stack([found[at] for at in range(len(pictures))])


def test_it_gives_what_onnxruntime_gives_also_two_at_a_time(graph):
    pictures = np.random.default_rng(1).integers(0, 256, (20, *SHAPES["image"]), np.uint8)
    expected = results(OnnxRuntimeEngine(), graph, pictures)
    found = results(OpenVinoEngine({}), graph, pictures)
    assert len(np.unique(expected[:, 0, 0])) == 20
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_bf16_runs_or_is_refused_but_never_becomes_something_else(graph):
    import openvino

    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        engine = OpenVinoEngine({"precision": "bf16"})
        compiled = engine.load(PART, "fp32", graph, SHAPES, threads=1)._compiled
        assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16
    else:
        with pytest.raises(EngineError, match="running OpenVINO in bf16: this processor has"):
            OpenVinoEngine({"precision": "bf16"})


def test_float32_is_what_it_computes_in_unless_asked(graph):
    import openvino

    compiled = OpenVinoEngine({}).load(PART, "fp32", graph, SHAPES, threads=1)._compiled
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32


@pytest.mark.parametrize(
    ("options", "words"),
    [({"precision": "int4"}, "f32 or bf16, not 'int4'"), ({"turbo": True}, "unknown options: turbo")],
)
def test_options_that_it_does_not_know_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        OpenVinoEngine(options)


def test_a_graph_that_is_none_is_an_error_with_a_way_out():
    with pytest.raises(EngineError, match=r"loading the part 'encode_image' in fp32 with OpenVINO.*mm-edge verify"):
        OpenVinoEngine({}).load(PART, "fp32", b"no graph", SHAPES, threads=1)
