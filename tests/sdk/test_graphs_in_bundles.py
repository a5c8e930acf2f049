"""The ONNX files of a bundle: nothing of theirs lies outside the bundle, and they are what the manifest says."""

from contextlib import suppress

import numpy as np
import pytest
from broken_bundle import A_FILE, BrokenBundle
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper
from small_bundle import FILES, SHAPE

from mm_edge.bundle.bundle import digest
from mm_edge.bundle.onnx_graph import read_onnx
from mm_edge.errors import BundleError

NAMES = ("image", "audio", "text")


def outside(name="stolen", size=16, location="etc/passwd"):
    """A tensor whose values are read from another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.UINT8, dims=[size], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def weights(model):
    model.graph.initializer.append(outside())


def weights_that_do_not_say_so(model):
    tensor = outside()
    tensor.ClearField("data_location")
    model.graph.initializer.append(tensor)


def weights_without_a_place(model):
    tensor = outside()
    tensor.ClearField("external_data")
    model.graph.initializer.append(tensor)


def constant(model):
    model.graph.node.append(helper.make_node("Constant", [], ["stolen"], value=outside()))


def branch(model):
    body = helper.make_graph([], "body", [], [], [outside()])
    model.graph.node.append(helper.make_node("If", ["image"], ["x"], then_branch=body, else_branch=body))


def branch_within_a_branch(model):
    inner = helper.make_graph([helper.make_node("Constant", [], ["x"], value=outside())], "inner", [], [])
    body = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], "b", [], [])
    model.graph.node.append(helper.make_node("Loop", ["n"], ["z"], body=body))


def function(model):
    node = helper.make_node("Constant", [], ["stolen"], value=outside())
    model.functions.append(helper.make_function("ours", "Steal", [], ["stolen"], [node], [helper.make_opsetid("", 20)]))


def sparse_weights(model):
    values, indices = outside("stolen", 1), numpy_helper.from_array(np.zeros(1, np.int64), "at")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def list_of_tensors(model):
    model.graph.node.append(helper.make_node("Anything", [], ["x"], domain="ours", several=[outside(), outside()]))


def training(model):
    model.training_info.add().algorithm.initializer.append(outside())


def engine_in_a_file(model):
    model.graph.node.append(helper.make_node("EPContext", [], ["x"], domain="com.microsoft", embed_mode=0))


@pytest.fixture
def with_graph(tmp_path):
    def write(change, file=A_FILE):
        bundle = BrokenBundle()
        model = ModelProto.FromString(FILES[file])
        change(model)
        content = bundle.members[file] = model.SerializeToString()

        def follow(tree):
            recorded = digest(content)
            tree["digests"][file] = {"sha256": recorded.sha256, "size": recorded.size}
            for part in tree["parts"]:
                for artefact in part["artefacts"].values():
                    if artefact["file"] == file:
                        artefact["sha256"] = recorded.sha256

        bundle.manifest(follow)
        return bundle.as_folder(tmp_path / "bundle")

    return write


@pytest.mark.parametrize(
    "change",
    [
        weights,
        weights_that_do_not_say_so,
        weights_without_a_place,
        constant,
        branch,
        branch_within_a_branch,
        function,
        sparse_weights,
        list_of_tensors,
        training,
        engine_in_a_file,
    ],
    ids=lambda change: change.__name__,
)
def test_what_is_read_from_another_file_is_refused(change, with_graph, refused_and_clean):
    message = refused_and_clean(with_graph(change))
    assert "is read from another file, which no digest covers" in message
    assert f"'{A_FILE}'" in message


def another_name(model):
    model.graph.input[0].name = model.graph.node[0].input[0] = "picture"


def one_more(model):
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, SHAPE))


def another_type(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def another_size(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 9


def another_rank(model):
    model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 1


def another_output(model):
    model.graph.output[0].name = model.graph.node[0].output[0] = "result"


def a_sequence(model):
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT


def a_fixed_batch_of_two(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another_name, "the manifest takes image, audio, text; the graph takes audio, picture, text"),
        (one_more, "the manifest takes image, audio, text; the graph takes audio, image, more, text"),
        (another_type, "'image' is float32 ['batch', 8]; in the graph it is int64 [any, 8]"),
        (another_size, "'image' is float32 ['batch', 8]; in the graph it is float32 [any, 9]"),
        (another_rank, "'embedding' is float32 ['batch', 8]; in the graph it is float32 [any, 8, 1]"),
        (another_output, "the manifest gives embedding; the graph gives result"),
        (a_sequence, "'image' is float32 ['batch', 8]; in the graph it is no tensor of any shape"),
        (a_fixed_batch_of_two, "'image' is float32 ['batch', 8]; in the graph it is float32 [2, 8]"),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says_is_refused(change, said, with_graph, refused_and_clean):
    assert said in refused_and_clean(with_graph(change))


def test_a_dimension_that_the_graph_leaves_open_fits_any(with_graph, command):
    def open_rank(model):
        model.graph.input[0].type.tensor_type.ClearField("shape")
        model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 1

    assert command("verify", with_graph(open_rank)).code == 0


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08", b"\x3a\xff\xff\x03", b"\x3a\x02\x0b\x0b"])
def test_what_is_no_onnx_file_is_refused(content):
    with pytest.raises(BundleError, match="not an ONNX file that can be read"):
        read_onnx(content, "reading it")


def test_a_file_that_onnx_runtime_would_take_for_its_own_format_is_refused():
    """Eight bytes in front, a field that protobuf skips: the rest is the same ONNX file."""
    with pytest.raises(BundleError, match="in the ORT format"):
        read_onnx(b"\x12\x06\0\0ORTM" + FILES[A_FILE], "reading it")


def test_a_second_graph_which_a_parser_would_merge_is_refused():
    with pytest.raises(BundleError, match="there are 2 graphs in it"):
        read_onnx(FILES[A_FILE] + within(7, b""), "reading it")


def test_names_that_a_training_binds_are_no_graphs(with_graph, command):
    def bind(model):
        model.training_info.add().update_binding.add(key="weights", value="of a tensor")

    assert command("verify", with_graph(bind)).code == 0


@given(st.data())
def test_broken_bytes_are_read_or_refused_and_nothing_else(data):
    content = bytearray(FILES[A_FILE])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    with suppress(BundleError):
        read_onnx(bytes(content), "reading it")


def within(number, content):
    """A field of bytes, as protobuf writes it."""
    size, head = len(content), bytearray([number << 3 | 2])
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + content


def test_graphs_nested_without_end_are_refused():
    body = b""
    for _ in range(2000):
        body = within(1, within(5, within(6, body)))  # a node's attribute is a graph
    with pytest.raises(BundleError, match="nested deeper"):
        read_onnx(within(7, body), "reading it")
