"""Weights that lie in files: the same numbers, the same artefacts, and graphs that weigh next to nothing."""

import numpy as np
import onnx
import pytest
from handmade_graphs import Builder, info, picture_and_vector, sample, source_model
from onnx import TensorProto, numpy_helper

from mm_edge.bundle.bundle import Bundle
from mm_edge.export import pipeline
from mm_edge.export.graphs import weights
from mm_edge.export.graphs.fp16 import as_rounded, to_fp16
from mm_edge.export.graphs.lint import lint
from mm_edge.export.graphs.runner import Runner, base_graph
from mm_edge.export.graphs.weights import array_of, cast, digest_of_model, filled, is_aside, put_aside, save
from mm_edge.export.pipeline import export
from mm_edge.export.precision.int8 import calibrate, to_int8_cpu, to_int8_trt
from mm_edge.export.recipe import Recipe


@pytest.fixture
def small(monkeypatch):
    """All but single numbers and shapes counts as large."""
    monkeypatch.setattr(weights, "LARGE_BYTES", 64)


@pytest.fixture
def light(small, tmp_path):
    return put_aside(picture_and_vector(), tmp_path / "weights")


def test_the_graph_is_small_and_the_whole_comes_back(light):
    whole = picture_and_vector()
    assert sum(map(is_aside, light.graph.initializer)) >= 6
    assert len(light.SerializeToString()) < 0.6 * len(whole.SerializeToString())
    for tensor, wanted in zip(light.graph.initializer, whole.graph.initializer, strict=True):
        np.testing.assert_array_equal(array_of(tensor), numpy_helper.to_array(wanted))
    assert filled(light).SerializeToString() == whole.SerializeToString()


def test_a_written_graph_needs_no_other_file(light, tmp_path):
    save(light, tmp_path / "alone" / "graph.onnx")
    onnx.checker.check_model(str(tmp_path / "alone" / "graph.onnx"))
    assert onnx.load(str(tmp_path / "alone" / "graph.onnx")) == picture_and_vector()


@pytest.mark.parametrize("level", ["none", "basic", "all"])
def test_the_engine_reads_them_where_they_lie(light, level):
    feed = sample(3)
    got, wanted = (Runner(graph, optimize=level)(feed) for graph in (light, picture_and_vector()))
    np.testing.assert_array_equal(got["logits"], wanted["logits"])


def test_every_precision_is_bit_for_bit_the_same(small, tmp_path):
    whole, light = picture_and_vector(softmax=True), picture_and_vector(softmax=True)
    put_aside(light, tmp_path / "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "LARGE_BYTES", 1 << 30)
        bases = base_graph(whole), base_graph(light, tmp_path / "weights")
    put_aside(bases[1], tmp_path / "weights")
    assert filled(bases[1]) == bases[0]
    ranges = calibrate(bases[1], [sample(seed) for seed in range(4)], "minmax")
    for make in (
        lambda base: to_fp16(base, {"conv1"}),
        lambda base: to_int8_cpu(base, ranges, form="products"),
        lambda base: to_int8_trt(base, ranges, {"logits"}),
    ):
        wanted, got = (make(base) for base in bases)
        assert filled(got) == wanted
        assert lint(got) == lint(wanted)
        assert filled(as_rounded(got)) == as_rounded(wanted)


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_calibration_reads_them_where_they_lie(light, method):
    feeds = [sample(seed) for seed in range(4)]
    wanted, got = (calibrate(graph, feeds, method).data for graph in (picture_and_vector(), light))
    assert set(got) == set(wanted)
    for name, given in got.items():
        np.testing.assert_array_equal(given.range_value, wanted[name].range_value)


def test_a_weight_that_two_kinds_of_node_read_is_quantized_as_if_it_lay_in_the_graph(small, tmp_path):
    """Once along another axis, once by an embedding's lookup: there is no one axis of channels to show."""

    def shared():
        b = Builder()
        table = b.normal("table", 16, 16)
        b.add("Gather", "words", table, "ids", axis=0)
        b.add("MatMul", "one", "words", table)
        b.add("Gemm", "two", "one", table, transB=1)
        return b.model(
            [info("ids", TensorProto.INT64, 4)],
            [info("two", TensorProto.FLOAT, 4, 16)],
        )

    feeds = [{"ids": np.random.default_rng(seed).integers(0, 16, 4)} for seed in range(4)]
    bases = base_graph(shared()), put_aside(base_graph(shared()), tmp_path / "weights")
    ranges = calibrate(bases[0], feeds, "minmax")
    for make in (lambda base: to_int8_cpu(base, ranges, form="heavy"), lambda base: to_int8_trt(base, ranges)):
        wanted, got = (make(base) for base in bases)
        assert filled(got) == wanted


def test_scales_of_products_are_the_quantizers_own(small, tmp_path):
    """Channels of all sizes: ordinary ones, one of zeros, one near zero, one of a single sign, a huge one."""

    def products():
        b = Builder()
        weight = b.random.normal(0, 1, (24, 16)).astype(np.float32)
        weight[:, 1], weight[:, 2], weight[:, 3], weight[:, 4] = 0, weight[:, 2] * 1e-9, -np.abs(weight[:, 3]), 1e30
        b.add("MatMul", "one", "x", b.weight("first", weight))
        b.add("Relu", "kept", "one")
        b.add("MatMul", "two", "kept", b.normal("second", 16, 24))
        return b.model([info("x", TensorProto.FLOAT, 4, 24)], [info("two", TensorProto.FLOAT, 4, 24)])

    feeds = [{"x": np.random.default_rng(seed).normal(size=(4, 24)).astype(np.float32)} for seed in range(4)]
    bases = base_graph(products()), put_aside(base_graph(products()), tmp_path / "weights")
    ranges = calibrate(bases[0], feeds, "minmax")
    for make in (lambda base: to_int8_cpu(base, ranges, form="products"), lambda base: to_int8_trt(base, ranges)):
        wanted, got = (make(base) for base in bases)
        assert filled(got) == wanted


def test_what_fp16_cannot_hold_is_clamped_as_elsewhere(small, tmp_path):
    values = np.array([1e9, -1e9, 1e-12, 0.0, -np.inf, 0.1] * 4, np.float32)
    inline = numpy_helper.from_array(values, "w")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [inline]))
    aside = put_aside(model, tmp_path).graph.initializer[0]
    cast(inline, TensorProto.FLOAT16)
    cast(aside, TensorProto.FLOAT16)
    np.testing.assert_array_equal(array_of(aside), numpy_helper.to_array(inline))
    assert array_of(aside)[0] == 65504
    assert array_of(aside)[4] == -np.inf


def test_the_digest_is_of_the_weights_and_not_of_where_they_lie(small, tmp_path):
    first, second, other = (picture_and_vector() for _ in range(3))
    weight = other.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + 1, weight.name))
    digests = [
        digest_of_model(put_aside(graph, tmp_path / name))
        for graph, name in ((first, "a"), (second, "b"), (other, "a"))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_an_export_is_the_same_and_goes_on_after_an_interruption(small, tmp_path, monkeypatch):
    recipe = Recipe(precisions=("fp16", "int8-cpu", "int8-trt"), split="always")
    # Which form of int8 is the fastest is measured, and a tie would go to another one each time.
    monkeypatch.setattr("mm_edge.export.precision.part_search.FORMS", ("heavy",))

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "pack", stop)
        with pytest.raises(KeyboardInterrupt):
            export(source_model(), tmp_path / "x.mmb", recipe)
    with monkeypatch.context() as patch:
        patch.setattr("mm_edge.export.precision.part_search.PartSearch._make", stop)
        export(source_model(), tmp_path / "x.mmb", recipe)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "LARGE_BYTES", 1 << 30)
        export(source_model(), tmp_path / "y.mmb", recipe)
    with Bundle.open(tmp_path / "x.mmb") as one, Bundle.open(tmp_path / "y.mmb") as other:
        assert {name for name in one.manifest.digests if name.startswith("parts/")} == {
            name for name in other.manifest.digests if name.startswith("parts/")
        }
        for name, digest in one.manifest.digests.items():
            assert digest == other.manifest.digests[name]
    assert not list(tmp_path.rglob("*.float16"))


def test_a_model_that_was_given_stays_whole(small, tmp_path):
    model = source_model()
    before = model.graph.SerializeToString()
    export(model, tmp_path / "x.mmb", Recipe(precisions=("fp32",)))
    assert model.graph.SerializeToString() == before
