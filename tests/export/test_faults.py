"""Faults that look harmless and ruin a robot: each is put into an export, and the gate has to catch it."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from handmade_graphs import picture_and_vector, sample, source_model
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mm_edge.errors import WorkFailedError
from mm_edge.export.data.tokens import prove_tokenizer
from mm_edge.export.graphs.graph import rename_values
from mm_edge.export.pipeline import export
from mm_edge.export.precision import part_search
from mm_edge.export.recipe import Recipe
from mm_edge.spec import ScoresOutput


def changed(change) -> ModelProto:
    graph = ModelProto()
    graph.CopyFrom(picture_and_vector())
    change(graph)
    return graph


def node(graph: ModelProto, name: str):
    return next(item for item in graph.graph.node if item.name == name)


def refused(tmp_path, model, recipe: Recipe | None = None, match: str = "relative error") -> None:
    with pytest.raises(WorkFailedError, match=match) as caught:
        export(model, tmp_path / "x.mmb", recipe or Recipe(precisions=("fp32",)))
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_transposed_input(tmp_path):
    """Height and width are swapped: shapes still fit behind the pooling, numbers do not."""

    def change(graph):
        node(graph, "planes").attribute[0].CopyFrom(helper.make_attribute("perm", [0, 3, 2, 1]))
        del graph.graph.value_info[:]

    refused(
        tmp_path,
        source_model(changed(change), picture_and_vector()),
        match=r"chain in fp32: 'logits' \(computed by node 'logits' \(Gemm\) of 'fuse'\)",
    )


def test_a_wrong_scale_of_the_pixels(tmp_path):
    def change(graph):
        weight = next(item for item in graph.graph.initializer if item.name == "scale")
        weight.CopyFrom(numpy_helper.from_array(np.float32(1 / 128), "scale"))

    refused(tmp_path, source_model(changed(change), picture_and_vector()))


def test_a_wrong_mean(tmp_path):
    def change(graph):
        graph.graph.initializer.append(
            numpy_helper.from_array(np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1), "mean")
        )
        place = next(number for number, item in enumerate(graph.graph.node) if item.name == "conv1")
        graph.graph.node.insert(place, helper.make_node("Sub", ["scaled", "mean"], ["centred"], name="centred"))
        node(graph, "conv1").input[0] = "centred"

    refused(tmp_path, source_model(changed(change), picture_and_vector()))


def test_swapped_channels(tmp_path):
    def change(graph):
        graph.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "bgr"))
        place = next(number for number, item in enumerate(graph.graph.node) if item.name == "conv1")
        graph.graph.node.insert(
            place, helper.make_node("Gather", ["scaled", "bgr"], ["swapped"], name="swapped", axis=1)
        )
        node(graph, "conv1").input[0] = "swapped"

    refused(tmp_path, source_model(changed(change), picture_and_vector()))


def test_a_swapped_pair_of_outputs(tmp_path):
    """Two classes change places."""

    def change(graph):
        for name in ("head.w", "head.b"):
            weight = next(item for item in graph.graph.initializer if item.name == name)
            weight.CopyFrom(
                numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(weight)[..., [1, 0, 2, 3]]), name)
            )

    refused(tmp_path, source_model(changed(change), picture_and_vector()))


def test_two_outputs_that_changed_places(tmp_path):
    """Of one type and shape, so that nothing but the numbers tells them apart."""

    def two(first: str, second: str) -> ModelProto:
        graph = picture_and_vector()
        graph.graph.node.append(helper.make_node("Neg", ["logits"], ["against"], name="against"))
        del graph.graph.output[:]
        graph.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("logits", "against")
        )
        rename_values(graph, {"logits": first, "against": second})
        return graph

    model = source_model(two("against", "logits"), two("logits", "against"))
    outputs = (*model.spec.outputs, ScoresOutput("against", {"values": "against"}))
    model = replace(model, spec=msgspec.structs.replace(model.spec, outputs=outputs))
    refused(tmp_path, model)


@pytest.mark.parametrize("precision", ["int8-cpu", "int8-trt"])
def test_a_stale_calibration(tmp_path, monkeypatch, precision):
    """Ranges of another world: the values of today fall outside of them."""
    old = [
        {"image": feed["image"] // 40, "vector": feed["vector"] * np.float32(0.02)} for feed in map(sample, range(8))
    ]
    real = part_search.calibrate

    def stale(base, feeds, *how):
        kept = set(feeds[0])
        return real(base, [{name: feed[name] for name in kept} for feed in old], *how)

    monkeypatch.setattr(part_search, "calibrate", stale)
    refused(tmp_path, source_model(), Recipe(precisions=(precision,), split="never"), match=f"no {precision}.*node '")


@pytest.mark.parametrize("precision", ["int8-cpu", "int8-trt"])
def test_a_zero_scale(tmp_path, monkeypatch, precision):
    """In whatever is quantized: a search that leaves a node out does not get away from it."""
    real = part_search.PartSearch._quantized_keeping

    def broken(self, kept, form):
        graph = ModelProto()
        graph.CopyFrom(real(self, kept, form))
        names = {item.input[1] for item in graph.graph.node if item.op_type == "QuantizeLinear"}
        for scale in [item for item in graph.graph.initializer if item.name in names][:1]:
            scale.CopyFrom(numpy_helper.from_array(np.zeros((), numpy_helper.to_array(scale).dtype), scale.name))
        return graph

    monkeypatch.setattr(part_search.PartSearch, "_quantized_keeping", broken)
    refused(tmp_path, source_model(), Recipe(precisions=(precision,), split="never"), match=f"no {precision}.*node '")


def test_a_quantized_softmax(tmp_path, monkeypatch):
    """It may even pass by numbers; TensorRT's rules find it by name."""
    real = part_search.fp16_between

    def broken(*args, **options):
        graph = real(*args, **options)
        softmax = next(item for item in graph.graph.node if item.op_type == "Softmax")
        name = softmax.output[0]
        users = [item for item in graph.graph.node if name in item.input]
        graph.graph.initializer.append(numpy_helper.from_array(np.array(1 / 127, np.float16), "s"))
        graph.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), "z"))
        place = list(graph.graph.node).index(softmax) + 1
        graph.graph.node.insert(place, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"], name="dq"))
        graph.graph.node.insert(place, helper.make_node("QuantizeLinear", [name, "s", "z"], ["q"], name="q"))
        for user in users:
            user.input[:] = ["dq" if value == name else value for value in user.input]
        return graph

    monkeypatch.setattr(part_search, "fp16_between", broken)
    graph = picture_and_vector(softmax=True)
    refused(
        tmp_path,
        source_model(graph),
        Recipe(precisions=("int8-trt",), split="never", tolerance=0.4),
        match="node 'attention': its output is quantized",
    )


def test_an_fp16_that_overflows(tmp_path):
    """A value beyond 65504 in the middle of the graph: the search keeps those nodes in fp32, and only those nearby."""

    def change(graph):
        graph.graph.initializer.append(numpy_helper.from_array(np.float32(1e6), "big"))
        place = next(number for number, item in enumerate(graph.graph.node) if item.name == "conv2")
        graph.graph.node.insert(place, helper.make_node("Div", ["louder", "big"], ["calm"], name="calm"))
        graph.graph.node.insert(place, helper.make_node("Mul", ["relu1", "big"], ["louder"], name="louder"))
        node(graph, "conv2").input[0] = "calm"

    exported = export(source_model(changed(change)), tmp_path / "x.mmb", Recipe(precisions=("fp16",), split="never"))
    fuse = exported.candidates[0]
    assert {"louder", "calm"} <= fuse.kept
    assert len(fuse.kept) < 8
    assert fuse.loss < 0.01


def test_a_wrong_tokenizer():
    pytest.importorskip("transformers")
    from fusion_models import make, tokenizer_json
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    from mm_edge.export.model import SourceModel

    content = tokenizer_json()
    own = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(content.decode()), pad_token="[PAD]", unk_token="[UNK]"
    )
    spec = make(("image", "text"), "concat").spec
    model = SourceModel(spec, ModelProto(), lambda feed: feed, "made", files={"tokenizer.json": content})
    prove_tokenizer(model, "text", own)
    model.files["tokenizer.json"] = content.replace(b'"[UNK]": 1', b'"[UNK]": 9').replace(b'"w9": 9', b'"w9": 1')
    with pytest.raises(WorkFailedError, match="'a photo of a cat' has id 9 at position 0, the model's own tokenizer 1"):
        prove_tokenizer(model, "text", own)
