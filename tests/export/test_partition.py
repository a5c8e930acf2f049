"""A graph falls into an encoder an input and a fusion, and the parts in a chain are the whole."""

import numpy as np
import pytest
from handmade_graphs import Builder, info, picture_and_vector, sample, source_model, spec
from onnx import TensorProto, helper

from mm_edge.bundle.manifest import Read
from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.lint import lint
from mm_edge.export.recipe import Recipe
from mm_edge.export.split.partition import split_model
from mm_edge.export.verify.parity import verify_split


def test_each_input_gets_an_encoder_and_the_rest_is_the_fusion():
    split = split_model(source_model(), Recipe(split="always"))
    assert [part.name for part in split.parts] == ["encode_image", "encode_vector", "fuse"]
    assert split.parts[0].reads == {"image": Read("input:image")}
    assert split.parts[2].reads == {
        "image_embedding": Read("part:encode_image.embedding"),
        "vector_embedding": Read("part:encode_vector.embedding"),
    }
    assert split.parts[0].gives[0].shape == ("batch", 32)
    assert split.outputs == {"logits": "part:fuse.logits"}
    assert split.crossing_bytes == 2 * 32 * 4


def test_an_encoder_too_small_to_pay_goes_back_into_the_fusion():
    split = split_model(source_model(), Recipe())
    assert [part.name for part in split.parts] == ["encode_image", "fuse"]
    assert split.parts[1].reads["vector"] == Read("input:vector")
    assert any("'vector' has no encoder" in note for note in split.notes)


def test_a_model_that_is_asked_to_stay_whole_says_why():
    split = split_model(source_model(), Recipe(split="never"))
    assert [part.name for part in split.parts] == ["fuse"]
    assert list(split.notes) == ["exported as one part, as requested"]
    assert split.parts[0].note


@pytest.mark.parametrize("mode", ["auto", "always", "never"])
@pytest.mark.parametrize("tangled", [False, True])
def test_the_chained_parts_are_the_whole_at_every_batch_size(mode, tangled):
    model = source_model(picture_and_vector(batch_from_picture=tangled))
    assert verify_split(split_model(model, Recipe(split=mode))) <= 1e-6


def test_a_batch_size_read_off_another_input_does_not_tie_the_encoders_together():
    split = split_model(source_model(picture_and_vector(batch_from_picture=True)), Recipe(split="always"))
    vector = next(part for part in split.parts if part.name == "encode_vector")
    assert set(vector.reads) == {"vector"}
    assert {node.op_type for node in vector.graph.graph.node} >= {"Shape", "ConstantOfShape"}


def test_the_size_of_a_uint8_input_is_read_behind_its_cast():
    split = split_model(source_model(picture_and_vector(batch_from_picture=True)), Recipe(split="never"))
    users = [node.op_type for node in split.parts[0].graph.graph.node if "image" in node.input]
    assert users == ["Cast"]


def test_a_picture_that_is_turned_before_it_is_cast_is_cast_first():
    graph = picture_and_vector()
    by_name = {node.name: node for node in graph.graph.node}
    by_name["planes"].input[0], by_name["planes"].output[0] = "image", "turned"
    by_name["floats"].input[0], by_name["floats"].output[0] = "turned", "planes"
    nodes = [by_name["planes"], by_name["floats"], *list(graph.graph.node)[2:]]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.graph.node[:]
    graph.graph.node.extend(copies)
    assert [finding.rule for finding in lint(graph)] == ["uint8"]
    model = source_model(graph)
    split = split_model(model, Recipe(split="always"))
    assert [lint(part.graph) for part in split.parts] == [[], [], []]
    assert verify_split(split) <= 1e-6


def test_what_grows_at_the_end_of_an_encoder_is_moved_behind_the_cut():
    """32 numbers are repeated 4000 times before they meet the other input: the repeating belongs to the fusion."""
    b = Builder()
    b.add("Cast", "floats", "image", to=TensorProto.FLOAT)
    b.add("Transpose", "planes", "floats", perm=[0, 3, 1, 2])
    b.add("Conv", "conv", "planes", b.normal("w", 32, 3, 3, 3))
    b.add("ReduceMean", "picture", "conv", b.ints("axes", 2, 3), keepdims=0)
    b.add("Unsqueeze", "row", "picture", b.ints("one", 1))
    b.add("Tile", "rows", "row", b.ints("repeats", 1, 4000, 1))
    b.add("Gemm", "dense", "vector", b.normal("v", 8, 32))
    b.add("Unsqueeze", "other", "dense", b.ints("again", 1))
    b.add("Mul", "met", "rows", "other")
    b.add("ReduceMean", "mean", "met", b.ints("over", 1), keepdims=0)
    b.add("Gemm", "logits", "mean", b.normal("h", 32, 4))
    graph = b.model(
        [info("image", TensorProto.UINT8, "batch", 16, 24, 3), info("vector", TensorProto.FLOAT, "batch", 8)],
        [info("logits", TensorProto.FLOAT, "batch", 4)],
    )
    model = source_model(graph)
    split = split_model(model, Recipe(split="always"))
    assert "Tile" in {node.op_type for node in split.parts[-1].graph.graph.node}
    assert split.crossing_bytes <= 1024
    assert verify_split(split) <= 1e-6


def test_a_cut_that_changes_what_is_computed_is_caught():
    model = source_model()
    split = split_model(model, Recipe(split="always"))
    weight = next(item for item in split.parts[0].graph.graph.initializer if item.name == "conv2.b")
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) * 1.01).astype(np.float32).tobytes()
    with pytest.raises(WorkFailedError, match="'logits' of the chained parts differs"):
        verify_split(split)


def test_the_saving_is_what_the_other_encoders_would_have_cost():
    split = split_model(source_model(), Recipe(split="always"))
    image, vector, fuse = split.parts
    assert split.saved_when_only("vector") == pytest.approx(image.flops / (image.flops + vector.flops + fuse.flops))
    assert image.flops >= 2 * 32 * 16 * 9 * 8 * 12  # the second convolution alone


def test_names_within_the_graph_give_way_to_the_parts_names():
    graph = picture_and_vector()
    for node in graph.graph.node:  # a value that is called like the part's output
        node.input[:] = ["embedding" if name == "conv1" else name for name in node.input]
        node.output[:] = ["embedding" if name == "conv1" else name for name in node.output]
    model = source_model(graph)
    assert verify_split(split_model(model, Recipe(split="always"))) <= 1e-6


def test_a_body_that_reads_a_value_from_outside_brings_its_input_along():
    """The branches of If take the picture's embedding without naming it as an input."""
    graph = picture_and_vector()
    branches = [
        helper.make_graph(
            [helper.make_node(kind, ["picture"], [f"{kind}_out"])],
            kind,
            [],
            [info(f"{kind}_out", TensorProto.FLOAT, "batch", 32)],
        )
        for kind in ("Relu", "Neg")
    ]
    b = Builder()
    b.add("ReduceSum", "sum", "vector", keepdims=0)
    b.add("Greater", "positive", "sum", b.weight("zero", np.float32(0)))
    chosen = helper.make_node(
        "If", ["positive"], ["chosen"], name="chosen", then_branch=branches[0], else_branch=branches[1]
    )
    place = next(number for number, node in enumerate(graph.graph.node) if node.name == "joined")
    graph.graph.node[place].input[0] = "chosen"
    for node in reversed([*b.nodes, chosen]):
        graph.graph.node.insert(place, node)
    graph.graph.initializer.extend(b.weights)
    model = source_model(graph)
    split = split_model(model, Recipe(split="always"))
    assert "If" in {node.op_type for node in split.parts[-1].graph.graph.node}
    assert verify_split(split) <= 1e-6


def test_the_samples_of_these_tests_fit_the_spec():
    from mm_edge.export.feeds import check_feed, graph_inputs

    assert set(check_feed(sample(0), graph_inputs(spec()), "testing")) == {"image", "vector"}
