"""fp16 and int8 graphs: what they compute, what they keep in float, and the search for the smallest remainder."""

from functools import partial

import numpy as np
import pytest
from handmade_graphs import Builder, info, picture_and_vector, sample
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper, shape_inference

from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.fp16 import as_rounded, fp32_by_nature, to_fp16
from mm_edge.export.graphs.graph import typed
from mm_edge.export.graphs.lint import lint
from mm_edge.export.graphs.runner import Runner, base_graph
from mm_edge.export.precision.int8 import (
    FORMS,
    after_softmax,
    calibrate,
    quantizable,
    restored,
    rounded_outputs,
    to_int8_cpu,
    to_int8_trt,
    to_int8_trt_in_fp32,
)
from mm_edge.export.verify.parity import relative_error
from mm_edge.runtime.decode.agreement import cosine

SAMPLES = [sample(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def base():
    return base_graph(picture_and_vector())


@pytest.fixture(scope="module")
def ranges(base):
    return calibrate(base, SAMPLES[:8], "minmax")


def loss(base, reduced, precision):
    reference, runner = Runner(base), Runner(as_rounded(reduced) if precision in {"fp16", "int8-trt"} else reduced)
    return max(relative_error(runner(feed)["logits"], reference(feed)["logits"]) for feed in SAMPLES[8:])


def types(graph):
    return {tensor.name: tensor.data_type for tensor in graph.graph.initializer}


def test_fp16_halves_the_weights_and_keeps_the_edges_in_fp32(base):
    half = to_fp16(base)
    checker.check_model(half, full_check=True)
    assert loss(base, half, "fp16") < 2e-3
    assert types(half)["conv2.w"] == TensorProto.FLOAT16
    assert {item.type.tensor_type.elem_type for item in half.graph.output} == {TensorProto.FLOAT}
    assert lint(half) == []


def test_nodes_that_are_to_stay_fp32_do(base):
    half = to_fp16(base, {"conv2"})
    assert types(half)["conv2.w"] == TensorProto.FLOAT
    assert types(half)["conv1.w"] == TensorProto.FLOAT16
    assert loss(base, half, "fp16") < 2e-3


def test_everything_in_fp32_is_exactly_the_fp32_graph(base):
    """The converter's round trips through fp16 between nodes that both stay fp32 are gone."""
    kept = to_fp16(base, {node.name for node in base.graph.node})
    assert loss(base, kept, "fp16") < 1e-6


def test_a_spectrogram_keeps_fp32_up_to_its_logarithm():
    b = Builder()
    b.add("Mul", "power", "sound", "sound")
    b.add("MatMul", "mels", "power", b.weight("filters", np.abs(b.random.normal(0, 1e-4, (64, 16))).astype(np.float32)))
    b.add("Max", "floored", "mels", b.weight("floor", np.float32(1e-10)))
    b.add("Log", "log", "floored")
    b.add("Gemm", "logits", "log", b.normal("w", 16, 4))
    graph = b.model([info("sound", TensorProto.FLOAT, 1, 64)], [info("logits", TensorProto.FLOAT, 1, 4)])
    base = base_graph(graph)
    assert {"mels", "log"} <= fp32_by_nature(base)
    feeds = [{"sound": (np.random.default_rng(seed).normal(0, 0.001, (1, 64))).astype(np.float32)} for seed in range(4)]
    reference, runner = Runner(base), Runner(as_rounded(to_fp16(base)))
    assert max(relative_error(runner(feed)["logits"], reference(feed)["logits"]) for feed in feeds) < 2e-3


@pytest.mark.parametrize("form", FORMS)
def test_int8_for_the_cpu_uses_unsigned_activations_and_signed_weights_a_channel(base, ranges, form):
    quantized = to_int8_cpu(base, ranges, form=form)
    checker.check_model(quantized)
    assert loss(base, quantized, "int8-cpu") < 0.05
    weights = {tensor.name: tensor for tensor in quantized.graph.initializer}
    assert weights["conv2.w_quantized"].data_type == TensorProto.INT8
    assert weights["conv2.w_scale"].dims == [32]
    zero_points = {
        weights[node.input[2]].data_type for node in quantized.graph.node if node.op_type == "QuantizeLinear"
    }
    assert zero_points == {TensorProto.UINT8}


def test_int8_for_tensorrt_breaks_none_of_its_rules(base, ranges):
    quantized = to_int8_trt(base, ranges)
    checker.check_model(quantized)
    assert lint(quantized) == []
    assert loss(base, quantized, "int8-trt") < 0.05
    assert "QuantizeLinear" in {node.op_type for node in quantized.graph.node}


def test_the_methods_of_calibration_give_different_ranges(base):
    largest = {
        method: float(np.max(calibrate(base, SAMPLES[:8], method).data["relu2"].range_value[1]))
        for method in ("minmax", "percentile", "entropy")
    }
    assert largest["entropy"] < largest["percentile"] <= largest["minmax"]


def test_a_softmax_and_what_reads_it_are_never_quantized():
    base = base_graph(picture_and_vector(softmax=True))
    assert after_softmax(base) == {"attention", "logits"}
    ranges = calibrate(base, SAMPLES[:4], "minmax")
    for quantized in (to_int8_cpu(base, ranges, form="integers"), to_int8_trt(base, ranges)):
        read = {name for node in quantized.graph.node if node.op_type == "QuantizeLinear" for name in node.input}
        softmax = next(node for node in quantized.graph.node if node.op_type == "Softmax")
        assert not read & set(softmax.output)
        head = next(node for node in quantized.graph.node if node.op_type == "Gemm" and node.name == "logits")
        makers = {output: node.op_type for node in quantized.graph.node for output in node.output}
        assert makers.get(head.input[0]) != "DequantizeLinear"


def test_a_product_of_two_activations_is_not_quantized():
    b = Builder()
    b.add("MatMul", "scores", "a", "b")
    b.add("Gemm", "logits", "scores", b.normal("w", 8, 4))
    graph = b.model(
        [info("a", TensorProto.FLOAT, 2, 8), info("b", TensorProto.FLOAT, 8, 8)],
        [info("logits", TensorProto.FLOAT, 2, 4)],
    )
    assert quantizable(base_graph(graph)) == ["logits"]


def test_the_logits_are_not_rounded_to_integers_on_their_way_out(base, ranges):
    quantized = to_int8_cpu(base, ranges, form="heavy")
    maker = next(node for node in quantized.graph.node if "logits" in node.output)
    assert maker.op_type == "Gemm"


def test_a_scale_of_a_silent_input_is_not_zero():
    """A value that was 0 in every sample still gets a range: a zero scale divides by zero on the device."""
    silent = [{**feed, "vector": np.zeros_like(feed["vector"])} for feed in SAMPLES[:4]]
    base = base_graph(picture_and_vector())
    quantized = to_int8_trt(base, calibrate(base, silent, "minmax"))
    scales = [numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer if tensor.name.endswith("_scale")]
    assert all((scale.astype(np.float64) > 0).all() for scale in scales)


@pytest.mark.parametrize("form", [None, "products", "heavy"])
@pytest.mark.parametrize(
    "kept", [set(), {"conv1"}, {"conv2"}, {"conv2", "dense1"}, {"conv1", "conv2", "dense1", "logits"}]
)
def test_a_node_taken_back_to_float_is_as_if_it_had_never_been_quantized(base, ranges, form, kept):
    """What the search looks at is what the quantizer gives for the same nodes."""
    make = to_int8_trt_in_fp32 if form is None else partial(to_int8_cpu, form=form)
    quick = restored(make(base, ranges), base, kept, quantizable(base), rounded_outputs(form))
    anew, back, full = Runner(make(base, ranges, kept)), Runner(quick), Runner(make(base, ranges))
    for feed in SAMPLES[8:]:
        assert relative_error(back(feed)["logits"], anew(feed)["logits"]) < (1e-5 if form is None else 2e-3)
        assert np.allclose(back(feed)["logits"], full(feed)["logits"], rtol=1e-6) == (not kept)


@pytest.mark.parametrize("form", [None, "products", "heavy"])
def test_an_inner_value_that_goes_outside_is_not_rounded_because_a_node_reads_it_so(base, form):
    shown = ModelProto()
    shown.CopyFrom(base)
    read = next(node.input[0] for node in base.graph.node if node.name == "logits")
    shown.graph.output.extend([helper.make_tensor_value_info(read, TensorProto.FLOAT, None)])
    ranges = calibrate(shown, SAMPLES[:8], "minmax")
    make = to_int8_trt_in_fp32 if form is None else partial(to_int8_cpu, form=form)
    others = set(quantizable(shown)) - {"logits"}
    quantized = make(shown, ranges)
    assert any(node.op_type == "QuantizeLinear" and node.input[0] == read for node in quantized.graph.node)
    exact, back = Runner(shown), Runner(restored(quantized, shown, others, quantizable(shown), rounded_outputs(form)))
    for feed in SAMPLES[8:]:
        assert np.abs(back(feed)[read] - exact(feed)[read]).max() < 1e-3  # a step of eight bits is ten times that
        assert not np.allclose(back(feed)["logits"], exact(feed)["logits"], rtol=1e-6)


def test_errors_are_relative_and_anything_not_finite_is_infinitely_wrong():
    one = np.array([3.0, 4.0], np.float32)
    assert relative_error(one * 1.01, one) == pytest.approx(0.01, rel=1e-3)
    assert relative_error(np.array([np.nan, 4.0], np.float32), one) == float("inf")
    assert relative_error(one[:1], one) == float("inf")
    assert cosine(one, -one) == pytest.approx(-1)
    assert cosine(np.zeros(2), np.zeros(2)) == 1.0


def test_what_overflows_on_a_gpu_overflows_here():
    """ONNX Runtime's CPU provider computes these two nodes in fp32 and would give 30000."""
    b = Builder()
    b.add("Mul", "louder", "x", b.weight("a", np.float32(8)))
    b.add("Div", "y", "louder", b.weight("b", np.float32(8)))
    half = to_fp16(base_graph(b.model([info("x", TensorProto.FLOAT, 1)], [info("y", TensorProto.FLOAT, 1)])))
    feed = {"x": np.array([30000.0], np.float32)}
    assert np.isfinite(Runner(half)(feed)["y"]).all()
    assert not np.isfinite(Runner(as_rounded(half))(feed)["y"]).any()


def test_rounding_is_that_of_fp16():
    b = Builder()
    b.add("Mul", "y", "x", b.weight("a", np.float32(1 / 3)))
    half = to_fp16(base_graph(b.model([info("x", TensorProto.FLOAT, 64)], [info("y", TensorProto.FLOAT, 64)])))
    x = np.random.default_rng(0).normal(0, 1, 64).astype(np.float32)
    wanted = (x.astype(np.float16).astype(np.float32) * np.float32(np.float16(1 / 3))).astype(np.float16)
    np.testing.assert_array_equal(Runner(as_rounded(half))({"x": x})["y"], wanted.astype(np.float32))


def test_a_graph_whose_types_do_not_agree_is_told_as_such(monkeypatch, base):
    """To a search that is a graph that lost everything, like one that does not load."""

    def disagree(model, **options):
        raise shape_inference.InferenceError("Inferred elem type differs from existing elem type: (1) vs (10)")

    monkeypatch.setattr(shape_inference, "infer_shapes", disagree)
    with pytest.raises(WorkFailedError, match=r"inferring the types of a graph: Inferred elem type differs"):
        typed(base)
