"""The builder, on the real TensorRT-RTX, which needs no GPU to build: what ships, and what must be refused."""

import threading
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from bundles import graph, tensor
from onnx import TensorProto, helper

pytest.importorskip("tensorrt_rtx")

from mm_edge.bundle.bundle import Bundle
from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.runtime.engines.building import BuildStopped, Watch
from mm_edge.runtime.engines.tensorrt.build import LEAST_WORKSPACE_BYTES, build_engine, workspace_bytes
from mm_edge.runtime.engines.tensorrt.library import load_library
from mm_edge.runtime.engines.tensorrt.network import heavy_layers
from mm_edge.runtime.engines.tensorrt.order import Limits, Options, Order
from mm_edge.runtime.engines.tensors import fixed_shapes
from mm_edge.shipped import default_bundle
from mm_edge.spec import TensorSpec

SM86 = Options(capability="sm86")
with Bundle.open(default_bundle()) as SHIPPED:
    MANIFEST = SHIPPED.manifest
ARTEFACTS = [(part.name, precision) for part in MANIFEST.parts for precision in part.artefacts]


@pytest.fixture(scope="module")
def library():
    return load_library("tensorrt-rtx")


@pytest.fixture(scope="module")
def shipped():
    with Bundle.open(default_bundle()) as bundle:
        yield bundle


def order_of(bundle, name, precision, options=SM86):
    part = bundle.manifest.part(name)
    shapes = fixed_shapes(bundle.manifest, part)
    limits = {each.name: Limits.fixed(shapes[each.name]) for each in part.takes}
    return Order(part, precision, bundle.read(part.artefacts[precision].file), limits, options)


def small(nodes, takes, gives, constants=None, precision="fp32", limits=None):
    """An order of a graph of a few nodes; `takes` and `gives`: name, ONNX type, shape."""
    content = graph("x", nodes, [tensor(*each) for each in takes], [tensor(*each) for each in gives], constants)
    specs = [
        tuple(TensorSpec(name, str(helper.tensor_dtype_to_np_dtype(kind)), shape) for name, kind, *shape in side)
        for side in (takes, gives)
    ]
    fixed = {name: Limits.fixed(tuple(1 if isinstance(dim, str) else dim for dim in dims)) for name, _, *dims in takes}
    part = SimpleNamespace(name="x", takes=specs[0], gives=specs[1])
    return Order(part, precision, content, limits or fixed, SM86)


@pytest.mark.parametrize(("name", "precision"), ARTEFACTS)
def test_every_artefact_that_ships_builds(library, shipped, name, precision):
    built = build_engine(library, order_of(shipped, name, precision), Watch())
    assert len(built.engine) > 10_000
    assert built.heavy["HALF" if precision == "fp16" else "FLOAT"] > 0
    assert precision != "fp32" or not built.heavy["HALF"]


def test_what_is_quantized_for_the_cpu_is_refused(library):
    """Unsigned integers with a zero point, as ONNX Runtime likes them."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "middle"], ["rounded"], name="round_it"),
        helper.make_node("DequantizeLinear", ["rounded", "scale", "middle"], ["y"], name="back"),
    ]
    constants = {"scale": np.array(0.1, np.float32), "middle": np.array(128, np.uint8)}
    order = small(nodes, [("x", 1, 1, 4)], [("y", 1, 1, 4)], constants, "int8-cpu")
    with pytest.raises(WorkFailedError, match="building 'x' in int8-cpu with TensorRT-RTX"):
        build_engine(library, order, Watch())


def test_a_graph_of_another_precision_is_refused_before_it_is_built(library, shipped):
    requested = order_of(shipped, "fuse", "fp32")
    with pytest.raises(WorkFailedError, match="does not have the requested precision"):
        build_engine(library, Order(requested.part, "fp16", requested.graph, requested.limits, SM86), Watch())


def test_a_node_that_is_refused_is_named(library):
    nodes = [
        helper.make_node("Transpose", ["image"], ["turned"], name="turn_the_picture", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["turned"], ["floats"], to=TensorProto.FLOAT),
    ]
    order = small(nodes, [("image", TensorProto.UINT8, 1, 4, 4, 3)], [("floats", TensorProto.FLOAT, 1, 3, 4, 4)])
    with pytest.raises(WorkFailedError, match="turn_the_picture"):
        build_engine(library, order, Watch())


def test_a_node_that_is_unknown_is_named_with_its_operator(library):
    order = small([helper.make_node("Identity", ["x"], ["y"])], [("x", 1, 1, 4)], [("y", 1, 1, 4)])
    model = onnx.load_from_string(order.graph)
    model.graph.node[0].op_type, model.graph.node[0].name = "Nonsense", "the_wrong_one"
    wrong = Order(order.part, "fp32", model.SerializeToString(), order.limits, SM86)
    with pytest.raises(WorkFailedError, match=r"node 'the_wrong_one' \(Nonsense\)"):
        build_engine(library, wrong, Watch())


def test_shapes_that_cannot_be_are_told_with_both(library):
    order = small([helper.make_node("Relu", ["x"], ["y"])], [("x", 1, 1, 4)], [("y", 1, 1, 4)])
    wrong = Order(order.part, "fp32", order.graph, {"x": Limits.fixed((1, 5))}, SM86)
    with pytest.raises(WorkFailedError, match=r"input 'x' is \[1, 4\], requested is \[1, 5\]"):
        build_engine(library, wrong, Watch())


def test_types_that_the_manifest_does_not_name_are_told_with_both(library):
    order = small([helper.make_node("Relu", ["x"], ["y"])], [("x", 1, 1, 4)], [("y", 1, 1, 4)])
    part = SimpleNamespace(name="x", takes=order.part.takes, gives=(TensorSpec("y", "int64", (1, 4)),))
    with pytest.raises(WorkFailedError, match="output 'y' is float32, the manifest's is int64"):
        build_engine(library, Order(part, "fp32", order.graph, order.limits, SM86), Watch())


def test_tensors_that_the_manifest_does_not_name_are_told(library):
    order = small([helper.make_node("Relu", ["x"], ["y"])], [("x", 1, 1, 4)], [("y", 1, 1, 4)])
    part = SimpleNamespace(name="x", takes=order.part.takes, gives=(TensorSpec("z", "float32", (1, 4)),))
    with pytest.raises(WorkFailedError, match="the graph's outputs are y; the manifest's are z"):
        build_engine(library, Order(part, "fp32", order.graph, order.limits, SM86), Watch())


def test_an_output_whose_shape_follows_from_the_data_is_refused(library):
    nodes = [helper.make_node("ConstantOfShape", ["x"], ["y"])]
    order = small(nodes, [("x", TensorProto.INT64, 2)], [("y", TensorProto.FLOAT, "rows", "columns")])
    with pytest.raises(WorkFailedError, match="the shape of the output 'y' depends on the data"):
        build_engine(library, order, Watch())


def test_a_dimension_that_may_vary_gets_its_bounds(library):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    limits = {"x": Limits((1, 4), (2, 4), (8, 4))}
    order = small(
        nodes, [("x", 1, "batch", 4)], [("y", 1, "batch", 3)], {"w": np.ones((4, 3), np.float32)}, limits=limits
    )
    assert build_engine(library, order, Watch()).engine
    wrong = Order(order.part, "fp32", order.graph, {"x": Limits((8, 4), (2, 4), (1, 4))}, SM86)
    with pytest.raises(WorkFailedError, match=r"the shapes 'x' \[8, 4\] to \[1, 4\] were rejected"):
        build_engine(library, wrong, Watch())


def test_heavy_layers_are_counted_without_a_build(library):
    half = TensorProto.FLOAT16
    sides = [("x", half, 1, 4)], [("y", half, 1, 4)]
    heavy = small([helper.make_node("MatMul", ["x", "w"], ["y"])], *sides, {"w": np.eye(4, dtype=np.float16)}, "fp16")
    light = small([helper.make_node("Relu", ["x"], ["y"])], *sides, precision="fp16")
    assert [heavy_layers(library, order)["HALF"] for order in (heavy, light)] == [1, 0]


def test_a_build_tells_how_far_it_is(library, shipped):
    steps = []
    build_engine(library, order_of(shipped, "encode_image", "fp32"), Watch(report=steps.append))
    assert {step.label for step in steps} == {"encode_image fp32"}
    shares = [step.share for step in steps]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert "encode_image fp32: Building engine, 0%" in str(steps[0])


def test_a_build_that_is_stopped_ends_at_its_next_step(library, shipped):
    watch = Watch(report=lambda step: watch.stopped.set())
    with pytest.raises(BuildStopped):
        build_engine(library, order_of(shipped, "encode_image", "fp32"), watch)


def test_several_threads_may_build(library, shipped):
    """As parts are loaded side by side."""
    built = {}

    def build(name):
        built[name] = build_engine(library, order_of(shipped, name, "fp32"), Watch()).engine

    threads = [threading.Thread(target=build, args=(part.name,)) for part in MANIFEST.parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(built) == {part.name for part in MANIFEST.parts}


def test_a_gpu_that_it_does_not_build_for_is_told(library, shipped):
    with pytest.raises(UsageError, match=r"does not build for sm87.*For Jetson, build on the device"):
        build_engine(library, order_of(shipped, "fuse", "fp32", Options(capability="sm87")), Watch())


def test_a_build_leaves_half_of_the_memory_to_others():
    assert workspace_bytes(8 << 30) == 4 << 30
    assert workspace_bytes(0) == LEAST_WORKSPACE_BYTES
