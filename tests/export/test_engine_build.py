"""TensorRT-RTX builds here, without a GPU, what the exporter makes; and says no to what the lint says no to."""

from types import SimpleNamespace

import onnx
import pytest
from handmade_graphs import Builder, info, picture_and_vector, sample, source_model
from onnx import TensorProto

trt = pytest.importorskip("tensorrt_rtx")

from mm_edge.bundle.bundle import Bundle  # noqa: E402
from mm_edge.errors import UsageError, WorkFailedError  # noqa: E402
from mm_edge.export.graphs.fp16 import to_fp16  # noqa: E402
from mm_edge.export.graphs.lint import UNSUPPORTED, lint  # noqa: E402
from mm_edge.export.graphs.runner import base_graph  # noqa: E402
from mm_edge.export.graphs.weights import save  # noqa: E402
from mm_edge.export.package.engines import Target, build_engine  # noqa: E402
from mm_edge.export.pipeline import export  # noqa: E402
from mm_edge.export.precision.int8 import calibrate, to_int8_trt  # noqa: E402
from mm_edge.export.recipe import Recipe  # noqa: E402
from mm_edge.runtime.engines.tensorrt.network import check_precision  # noqa: E402
from mm_edge.spec import TensorSpec  # noqa: E402

TAKES = (TensorSpec("image", "uint8", ("batch", 16, 24, 3)), TensorSpec("vector", "float32", ("batch", 8)))
PART = SimpleNamespace(name="x", takes=TAKES, gives=(TensorSpec("logits", "float32", ("batch", 4)),))
SM86 = Target("sm86")


def parsed(path):
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    return parser.parse(path.read_bytes()), network, (builder, parser, logger)


def made(tmp_path, precision):
    base = base_graph(picture_and_vector())
    if precision == "int8-trt":
        graph = to_int8_trt(base, calibrate(base, [sample(seed) for seed in range(4)], "minmax"))
    else:
        graph = to_fp16(base) if precision == "fp16" else base
    path = tmp_path / "x.onnx"
    save(graph, path)
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-trt"])
def test_every_precision_builds(tmp_path, precision):
    assert len(build_engine(made(tmp_path, precision), precision, SM86, PART, {})) > 10_000


@pytest.mark.parametrize(("there", "requested"), [("fp32", "fp16"), ("fp16", "int8-trt"), ("fp16", "fp32")])
def test_a_network_of_another_precision_is_caught_before_it_is_built(tmp_path, there, requested):
    with pytest.raises(WorkFailedError, match="does not have the requested precision"):
        build_engine(made(tmp_path, there), requested, SM86, PART, {})


def test_the_layers_are_counted_by_type(tmp_path):
    good, network, _alive = parsed(made(tmp_path, "fp16"))
    assert good
    assert check_precision(network, "fp16", "testing") == {"FLOAT": 0, "HALF": 4, "INT8": 0}


def test_the_list_of_operators_is_the_parsers_own():
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    assert {name for name in names if not parser.supports_operator(name)} == UNSUPPORTED & names


def test_what_the_lint_refuses_the_parser_or_builder_refuses(tmp_path):
    b = Builder()
    b.add("Transpose", "turned", "image", perm=[0, 3, 1, 2])
    b.add("Cast", "floats", "turned", to=TensorProto.FLOAT)
    graph = b.model([info("image", TensorProto.UINT8, 1, 4, 4, 3)], [info("floats", TensorProto.FLOAT, 1, 3, 4, 4)])
    assert lint(graph)
    path = tmp_path / "x.onnx"
    save(graph, path)
    takes, gives = TensorSpec("image", "uint8", (1, 4, 4, 3)), TensorSpec("floats", "float32", (1, 3, 4, 4))
    with pytest.raises(WorkFailedError):
        build_engine(path, "fp32", SM86, SimpleNamespace(name="x", takes=(takes,), gives=(gives,)), {})


def test_targets_are_read_and_refused():
    assert Target.read("tensorrt-rtx:sm86,sm89") == [Target("sm86"), Target("sm89")]
    for wrong in ("tensorrt:sm86", "tensorrt-rtx", "tensorrt-rtx:86"):
        with pytest.raises(UsageError, match="is not a target"):
            Target.read(wrong)


def test_a_gpu_that_is_built_for_on_the_device_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"does not build for sm87.*For Jetson, build on the device"):
        build_engine(made(tmp_path, "fp16"), "fp16", Target("sm87"), PART, {})


def test_engines_lie_in_the_bundle_under_its_digests(tmp_path):
    recipe = Recipe(precisions=("fp16", "int8-trt"), targets=("tensorrt-rtx:sm86",), split="always")
    export(source_model(), tmp_path / "x.mmb", recipe)
    with Bundle.open(tmp_path / "x.mmb") as bundle:
        engines = bundle.manifest.part("encode_image").engines
        assert [(item.target, item.precision) for item in engines] == [("sm86", "fp16"), ("sm86", "int8-trt")]
        assert all(bundle.manifest.digests[item.file].sha256 == item.sha256 for item in engines)
