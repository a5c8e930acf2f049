"""Every input must matter: one that changes nothing is found at export, and named, in every precision."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from handmade_graphs import IMAGE, VECTOR, Builder, info, picture_and_vector, sample, source_model
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mm_edge.bundle.manifest import Read
from mm_edge.errors import WorkFailedError
from mm_edge.export.feeds import PRESENCE
from mm_edge.export.pipeline import export
from mm_edge.export.precision import part_search
from mm_edge.export.recipe import Recipe
from mm_edge.export.split.partition import PartGraph
from mm_edge.export.verify.parity import ignored_input

FP32 = Recipe(precisions=("fp32",))


def multiplied(value: str, scale: np.ndarray) -> ModelProto:
    """The usual graph with a factor behind one of its values."""
    graph = picture_and_vector()
    graph.graph.initializer.append(numpy_helper.from_array(np.asarray(scale, np.float32), "factor"))
    for node in graph.graph.node:
        node.input[:] = [f"{value}:scaled" if name == value else name for name in node.input]
    place = next((i + 1 for i, node in enumerate(graph.graph.node) if value in node.output), 0)
    graph.graph.node.insert(place, helper.make_node("Mul", [value, "factor"], [f"{value}:scaled"], name="times"))
    return graph


def with_presence(weight: float) -> ModelProto:
    """The usual graph with the presence added to its answer, weighted."""
    graph = picture_and_vector()
    last = next(node for node in graph.graph.node if node.name == "logits")
    last.output[0] = "before_presence"
    graph.graph.input.append(info(PRESENCE, TensorProto.FLOAT, "batch", 2))
    graph.graph.initializer.append(numpy_helper.from_array(np.full((2, 4), weight, np.float32), "presence.w"))
    graph.graph.node.append(helper.make_node("MatMul", [PRESENCE, "presence.w"], ["added"], name="added"))
    graph.graph.node.append(helper.make_node("Add", ["before_presence", "added"], ["logits"], name="logits_sum"))
    return graph


def model_with_presence(weight: float):
    model = source_model(with_presence(weight))
    return replace(model, spec=msgspec.structs.replace(model.spec, presence="presence"))


def refused(tmp_path, model, match, recipe=FP32):
    with pytest.raises(WorkFailedError, match=match):
        export(model, tmp_path / "x.mmb", recipe)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["always", "never"])
@pytest.mark.parametrize(("value", "name"), [("vector", "vector"), ("scaled", "image")])
def test_an_input_behind_a_scale_of_zero_is_found_in_fp32(tmp_path, value, name, split):
    recipe = Recipe(precisions=("fp32",), split=split)
    refused(
        tmp_path, source_model(multiplied(value, 0.0)), f"'{name}' of part '.*' changes none of its outputs", recipe
    )


def test_a_normalisation_that_divides_by_a_missing_statistic_is_found(tmp_path):
    refused(tmp_path, source_model(multiplied("vector", np.float32(1e-30))), "'vector' of part")


def test_an_embedding_that_the_fusion_ignores_is_found(tmp_path):
    graph = picture_and_vector()
    weight = next(item for item in graph.graph.initializer if item.name == "head.w")
    values = numpy_helper.to_array(weight).copy()
    values[: len(values) // 2] = 0  # the picture's half
    weight.CopyFrom(numpy_helper.from_array(values, "head.w"))
    refused(
        tmp_path, source_model(graph), "'image_embedding' of part 'fuse'", Recipe(precisions=("fp32",), split="always")
    )


def test_an_input_that_no_node_reads_is_found(tmp_path):
    graph = picture_and_vector()
    zeros = numpy_helper.from_array(np.zeros((1, VECTOR), np.float32), "constant")
    graph.graph.initializer.append(zeros)
    dense = next(node for node in graph.graph.node if node.name == "dense1")
    dense.input[0] = "constant"
    model = replace(source_model(graph), fixed_batch=True)
    refused(tmp_path, model, "no output depends on 'vector'")


def test_a_presence_that_is_the_same_in_all_samples_counts_as_an_input(tmp_path):
    assert export(model_with_presence(1.0), tmp_path / "good.mmb", FP32)
    (tmp_path / "good.mmb").unlink()
    refused(tmp_path, model_with_presence(0.0), "'presence' of part 'fuse' changes none of its outputs")


def test_an_input_that_matters_in_few_samples_passes(tmp_path):
    """The vector counts only where its first value is larger than 0.9: in one sample of five."""
    b = Builder()
    b.add("Cast", "floats", "image", to=TensorProto.FLOAT)
    b.add("ReduceMean", "mean", "floats", b.ints("axes", 1, 2), keepdims=0)
    b.add("Slice", "first", "vector", b.ints("from", 0), b.ints("to", 1), b.ints("axis", 1))
    b.add("Sub", "over", "first", b.weight("limit", np.float32(0.9)))
    b.add("Relu", "gate", "over")
    b.add("Gemm", "picture", "mean", b.normal("picture.w", 3, 4), b.normal("picture.b", 4))
    b.add("Add", "logits", "picture", "gate")
    graph = b.model(
        [info("image", TensorProto.UINT8, "batch", *IMAGE, 3), info("vector", TensorProto.FLOAT, "batch", VECTOR)],
        [info("logits", TensorProto.FLOAT, "batch", 4)],
    )
    assert 1 <= sum(sample(seed)["vector"][0, 0] > 0.9 for seed in range(32)) <= 10
    assert export(source_model(graph), tmp_path / "x.mmb", FP32)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_a_mask_is_not_judged_by_values_for_which_the_model_has_no_answer(dtype):
    """It is the same in all samples, and with nothing present there is nothing to average."""

    def average(feed):
        weights = feed["mask"].astype(np.float32) * np.array([1, 2, 3, 4], np.float32)
        if not weights.any():
            raise WorkFailedError("nothing is present")
        return {"out": np.array([weights.argmax()], np.float32)}

    def broken(feed):
        return {"out": np.full(1, np.nan if not feed["mask"].any() else 1, np.float32)}

    part = PartGraph("fuse", "fuse", ModelProto(), {"mask": Read("presence")}, (), ())
    samples = [{"mask": np.ones((1, 4), dtype)}] * 3
    assert ignored_input(part, average, samples) is None
    assert ignored_input(part, broken, samples) == "mask"


@pytest.mark.parametrize("precision", ["fp16", "int8-cpu"])
def test_an_input_that_only_a_reduced_precision_ignores_is_found(tmp_path, monkeypatch, precision):
    """With a tolerance that would let it pass, as an input of little weight would."""
    real = part_search.PartSearch._maker

    def without_vector(self, *how):
        def make(kept):
            graph = ModelProto()
            graph.CopyFrom(real(self, *how)(kept))
            for node in graph.graph.node:
                node.input[:] = ["vector:zero" if name == "vector" else name for name in node.input]
            graph.graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
            graph.graph.node.insert(0, helper.make_node("Mul", ["vector", "zero"], ["vector:zero"], name="zeroed"))
            return graph

        return make

    monkeypatch.setattr(part_search.PartSearch, "_maker", without_vector)
    recipe = Recipe(precisions=(precision,), split="never", tolerance=0.99)
    refused(tmp_path, source_model(), f"no {precision}.*'vector' would change none of its outputs", recipe)
