"""Each rule of TensorRT is broken once; the finding names the node."""

import numpy as np
import pytest
from handmade_graphs import Builder, info, picture_and_vector
from onnx import TensorProto

from mm_edge.export.graphs.lint import lint


def quantized(scale=0.1, zero=0, kind=np.int8, half=False):
    """Q and DQ around one value."""
    b = Builder()
    dtype = np.float16 if half else np.float32
    s, z = b.weight("s", np.array(scale, dtype)), b.weight("z", np.array(zero, kind))
    b.add("QuantizeLinear", "q", "x", s, z)
    b.add("DequantizeLinear", "dq", "q", s, z)
    value = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    return b.model([info("x", value, 1, 4)], [info("dq", value, 1, 4)])


def rules(model):
    return {(finding.node, finding.rule) for finding in lint(model)}


def test_a_good_graph_has_no_findings():
    assert lint(picture_and_vector()) == []
    assert lint(quantized()) == []
    assert lint(quantized(half=True)) == []


@pytest.mark.parametrize("scale", [0.0, -0.1, float("nan"), float("inf")])
def test_a_scale_must_be_positive_and_finite(scale):
    assert ("q", "scale") in rules(quantized(scale=scale))


def test_a_zero_point_must_be_zero():
    assert rules(quantized(zero=3)) >= {("q", "zero point"), ("dq", "zero point")}


def test_unsigned_integers_are_refused():
    assert rules(quantized(kind=np.uint8)) >= {("q", "type"), ("dq", "type")}


def test_an_int32_bias_is_refused():
    b = Builder()
    b.add("DequantizeLinear", "dq", b.weight("bias", np.array([1, 2], np.int32)), b.weight("s", np.float32(0.1)))
    b.add("Add", "y", "x", "dq")
    assert ("dq", "bias") in rules(b.model([info("x", TensorProto.FLOAT, 1, 2)], [info("y", TensorProto.FLOAT, 1, 2)]))


def test_a_chain_has_one_float_type():
    b = Builder()
    z = b.weight("z", np.int8(0))
    b.add("QuantizeLinear", "q", "x", b.weight("s", np.float32(0.1)), z)
    b.add("DequantizeLinear", "dq", "q", b.weight("h", np.float16(0.1)), z)
    model = b.model([info("x", TensorProto.FLOAT16, 1, 2)], [info("dq", TensorProto.FLOAT16, 1, 2)])
    assert ("q", "chain") in rules(model)


def test_a_quantized_softmax_is_found():
    b = Builder()
    b.add("Softmax", "softmax", "x")
    b.add("QuantizeLinear", "q", "softmax", b.weight("s", np.float32(1 / 127)), b.weight("z", np.int8(0)))
    model = b.model([info("x", TensorProto.FLOAT, 1, 4)], [info("q", TensorProto.INT8, 1, 4)])
    assert ("softmax", "softmax") in rules(model)


def test_a_uint8_input_goes_into_cast_and_nowhere_else():
    b = Builder()
    b.add("Transpose", "turned", "image", perm=[0, 3, 1, 2])
    b.add("Cast", "floats", "turned", to=TensorProto.FLOAT)
    model = b.model([info("image", TensorProto.UINT8, 1, 4, 4, 3)], [info("floats", TensorProto.FLOAT, 1, 3, 4, 4)])
    assert rules(model) == {("turned", "uint8")}


@pytest.mark.parametrize(("kind", "rule"), [("DynamicQuantizeLinear", "operator"), ("NonZero", "shape")])
def test_operators_that_would_not_build_are_named(kind, rule):
    b = Builder()
    outputs = ["y"] if kind == "NonZero" else ["y", "scale", "zero"]
    b.add(kind, "y", "x")
    b.nodes[0].output[:] = outputs
    model = b.model(
        [info("x", TensorProto.FLOAT, 4)],
        [info("y", TensorProto.INT64 if kind == "NonZero" else TensorProto.UINT8, "n")],
    )
    assert ("y", rule) in rules(model)


def test_float64_is_found():
    b = Builder()
    b.add("Cast", "double", "x", to=TensorProto.DOUBLE)
    b.add("Cast", "y", "double", to=TensorProto.FLOAT)
    assert rules(b.model([info("x", TensorProto.FLOAT, 4)], [info("y", TensorProto.FLOAT, 4)])) == {("double", "type")}


def test_a_finding_says_what_to_do():
    assert str(lint(quantized(zero=3))[0]) == "node 'q': its zero point is not 0. Quantize symmetrically"
