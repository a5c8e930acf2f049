"""Graphs that somebody else made: guessed, or described by a file; with the way from uint8 pixels in front."""

import numpy as np
import onnx
import pytest
from handmade_graphs import Builder, info, picture_and_vector
from onnx import TensorProto, helper

from mm_edge.bundle.bundle import Bundle
from mm_edge.errors import UsageError
from mm_edge.export.graphs.runner import Runner
from mm_edge.export.pipeline import export, load_source
from mm_edge.export.recipe import Recipe

SPEC = """
[model]
name = "foreign"
[[model.inputs]]
modality = "image"
name = "image"
prepare = { size = [16, 24] }
[[model.inputs]]
modality = "vector"
name = "state"
prepare = { size = 8 }
[[model.outputs]]
kind = "classes"
name = "command"
labels = ["a", "b", "c", "d"]
reads = { logits = "logits" }
[model.sync]
driver = "image"
[rename]
"pixel.values" = "image"
[front_end.image]
mean = [0.5, 0.4, 0.3]
std = [0.2, 0.3, 0.4]
"""


def foreign(dtype=TensorProto.FLOAT, state_size: int | str = 8):
    b = Builder()
    b.add("Conv", "conv", "pixel.values", b.normal("w", 8, 3, 3, 3), b.normal("b", 8))
    b.add("GlobalAveragePool", "pool", "conv")
    b.add("Flatten", "flat", "pool")
    b.add("Concat", "both", "flat", "state", axis=1)
    b.add("Gemm", "logits", "both", b.normal("h", 16, 4))
    return b.model(
        [info("pixel.values", dtype, "N", 3, 16, 24), info("state", TensorProto.FLOAT, "N", state_size)],
        [info("logits", TensorProto.FLOAT, "N", 4)],
    )


@pytest.fixture
def path(tmp_path):
    onnx.save(foreign(), tmp_path / "foreign.onnx")
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path / "foreign.onnx"


def test_a_described_graph_gets_its_front_end_and_computes_what_it_did(path, tmp_path):
    exported = export(str(path), tmp_path / "x.mmb", Recipe(precisions=("fp32",), spec=str(tmp_path / "spec.toml")))
    assert exported.manifest.inputs[0].dtype == "uint8"
    picture = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    state = np.ones((2, 8), np.float32)
    pixels = ((picture / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]).transpose(0, 3, 1, 2).astype(np.float32)
    wanted = Runner(foreign())({"pixel.values": pixels, "state": state})["logits"]
    with Bundle.open(tmp_path / "x.mmb") as bundle:
        (part,) = bundle.manifest.parts
        got = Runner(bundle.read(part.artefacts["fp32"].file))({"image": picture, "state": state})["logits"]
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_guessed_spec_is_printed_and_can_be_given_back(path, tmp_path):
    model = load_source(str(path), Recipe())
    assert [(item.name, type(item).__name__) for item in model.spec.inputs] == [
        ("pixel_values", "ImageInput"),
        ("state", "VectorInput"),
    ]
    (note,) = (note for note in model.notes if "the spec was guessed" in note)
    (tmp_path / "guessed.toml").write_text(note.partition("\n")[2])
    again = load_source(str(path), Recipe(spec=str(tmp_path / "guessed.toml")))
    assert again.spec == model.spec


def test_external_data_is_read(tmp_path):
    onnx.save(foreign(), tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    assert load_source(str(tmp_path / "big.onnx"), Recipe()).spec.name == "big"
    (tmp_path / "big.data").unlink()
    with pytest.raises(UsageError, match=r"reading .*big.onnx"):
        load_source(str(tmp_path / "big.onnx"), Recipe())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda text: text.replace('"pixel.values" = "image"', ""), r"the graph takes \['pixel.values', 'state'\]"),
        (lambda text: text.replace('logits = "logits"', 'logits = "scores"'), r"the graph does not give \['scores'\]"),
        (lambda text: text.replace("size = 8", 'size = "eight"'), "Expected `int`"),
        (lambda text: text + "[nonsense]\na = 1\n", "unknown field `nonsense`"),
        (lambda text: text + "[[[", "reading .*spec.toml"),
    ],
)
def test_a_spec_that_does_not_fit_is_told(path, tmp_path, change, match):
    (tmp_path / "spec.toml").write_text(change(SPEC))
    with pytest.raises(UsageError, match=match):
        load_source(str(path), Recipe(spec=str(tmp_path / "spec.toml")))


def test_what_cannot_be_guessed_is_named(tmp_path):
    onnx.save(foreign(state_size="length"), tmp_path / "x.onnx")
    with pytest.raises(UsageError, match=r"the input 'state' is float \['N', 'length'\], which matches no modality"):
        load_source(str(tmp_path / "x.onnx"), Recipe())


def test_text_without_a_tokenizer_is_named(tmp_path):
    b = Builder()
    b.add("Gather", "rows", b.normal("table", 10, 4), "ids")
    b.add("ReduceMean", "y", "rows", b.ints("axes", 1), keepdims=0)
    onnx.save(
        b.model([info("ids", TensorProto.INT64, "N", 6)], [info("y", TensorProto.FLOAT, "N", 4)]), tmp_path / "x.onnx"
    )
    with pytest.raises(UsageError, match=r"'ids' looks like text, and there is no tokenizer.json"):
        load_source(str(tmp_path / "x.onnx"), Recipe())


def test_a_file_that_is_no_model_is_told(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match=r"reading .*x.onnx"):
        load_source(str(tmp_path / "x.onnx"), Recipe())
    with pytest.raises(UsageError, match=r"there is no file nowhere.onnx"):
        load_source(str(tmp_path / "nowhere.onnx"), Recipe())


def test_an_operator_that_nobody_has_is_named_with_its_node(tmp_path):
    graph = picture_and_vector()
    dense = next(node for node in graph.graph.node if node.name == "dense1")
    dense.domain, dense.op_type = "com.somebody", "Fancy"
    graph.opset_import.append(helper.make_opsetid("com.somebody", 1))
    onnx.save(graph, tmp_path / "x.onnx")
    with pytest.raises(UsageError, match=r"node 'dense1' is the operator Fancy of the domain com.somebody"):
        load_source(str(tmp_path / "x.onnx"), Recipe())
