"""The front end of pictures: one form for the graphs of every source, and the same numbers to the last bit."""

import numpy as np
import onnx
import pytest
from handmade_graphs import Builder, info
from onnx import TensorProto

from mm_edge.export.graphs.front_end import cast_first, transpose_second
from mm_edge.export.graphs.lint import lint
from mm_edge.export.graphs.runner import Runner
from mm_edge.export.pipeline import load_source
from mm_edge.export.recipe import Recipe
from mm_edge.export.split.partition import split_model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEIGHT, WIDTH = 13, 18
FORMS = {
    "three means": (255.0, MEAN, STD),
    "mean 0": (255.0, (0.0, 0.0, 0.0), STD),
    "no deviation": (255.0, MEAN, (1.0, 1.0, 1.0)),
    "scale only": (255.0, (0.0,), (1.0,)),
    "one mean for all": (127.5, (1.0,), (0.5,)),
    "grey": (255.0, (0.449,), (0.226,)),
}


def arithmetic_then_transpose(scale, mean, std, channels=3, pictures=("image",)):
    """Cast, / scale, - mean, / std in NHWC, then Transpose and a convolution, for each picture."""
    b = Builder()
    for name in pictures:
        b.add("Cast", f"{name}_cast", name, to=TensorProto.FLOAT)
        b.add("Div", f"{name}_scaled", f"{name}_cast", b.weight(f"{name}_scale", np.float32(scale)))
        b.add("Sub", f"{name}_centred", f"{name}_scaled", b.weight(f"{name}_mean", np.array(mean, np.float32)))
        b.add("Div", f"{name}_unit", f"{name}_centred", b.weight(f"{name}_std", np.array(std, np.float32)))
        b.add("Transpose", f"{name}_planes", f"{name}_unit", perm=[0, 3, 1, 2])
        b.add("Conv", f"{name}_out", f"{name}_planes", b.normal(f"{name}_w", 8, channels, 3, 3), pads=[1, 1, 1, 1])
    return b.model(
        [info(name, TensorProto.UINT8, "batch", HEIGHT, WIDTH, channels) for name in pictures],
        [
            info(f"{name}_{what}", TensorProto.FLOAT, None, None, None, None)
            for name in pictures
            for what in ("planes", "out")
        ],
    )


def feed(names=("image",), channels=3, batch=2):
    random = np.random.default_rng(0)
    return {name: random.integers(0, 256, (batch, HEIGHT, WIDTH, channels), dtype=np.uint8) for name in names}


def kinds(graph):
    return [node.op_type for node in graph.graph.node]


def reordered(graph):
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    cast_first(made)
    transpose_second(made)
    onnx.checker.check_model(made, full_check=True)
    return made


@pytest.mark.parametrize("form", FORMS)
def test_the_transpose_moves_behind_the_cast_and_no_bit_changes(form):
    channels = 1 if form == "grey" else 3
    graph = arithmetic_then_transpose(*FORMS[form], channels)
    moved = reordered(graph)
    assert kinds(moved)[:5] == ["Cast", "Transpose", "Div", "Sub", "Div"]
    before, after = (Runner(each, optimize="none")(feed(channels=channels)) for each in (graph, moved))
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, strict=True)


def test_a_constant_that_is_not_transposed_with_it_is_seen(monkeypatch):
    """The comparison above can fail: with the wrong axis, a mean of 18 columns would meet the channels."""
    graph = arithmetic_then_transpose(*FORMS["three means"])
    monkeypatch.setattr(
        "mm_edge.export.graphs.front_end.transposed", lambda array, _perm: array.reshape(1, 3, 1, 1)[:, ::-1]
    )
    before, after = (Runner(each, optimize="none")(feed()) for each in (graph, reordered(graph)))
    assert np.abs(after["image_planes"] - before["image_planes"]).max() > 0.1


def test_several_pictures_are_each_put_in_order():
    names = ("left", "right")
    graph = arithmetic_then_transpose(*FORMS["three means"], pictures=names)
    moved = reordered(graph)
    assert kinds(moved).count("Transpose") == 2
    before, after = (Runner(each, optimize="none")(feed(names)) for each in (graph, moved))
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


@pytest.mark.parametrize("why", ["read twice", "an output", "not arithmetic", "a float input"])
def test_what_cannot_be_moved_stays(why):
    graph = arithmetic_then_transpose(*FORMS["three means"])
    if why == "read twice":
        graph.graph.node.append(onnx.helper.make_node("ReduceMax", ["image_scaled"], ["most"], keepdims=0))
        graph.graph.output.append(onnx.helper.make_tensor_value_info("most", TensorProto.FLOAT, []))
    elif why == "an output":
        graph.graph.output.append(info("image_centred", TensorProto.FLOAT, None, None, None, None))
    elif why == "not arithmetic":
        node = next(node for node in graph.graph.node if node.op_type == "Sub")
        node.op_type = "Pow"
    else:
        graph.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    assert kinds(reordered(graph)) == kinds(graph)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_foreign_graph_of_either_layout_gets_the_order(tmp_path, layout):
    """A graph with a Transpose of its own, as converters from TensorFlow write it, included."""
    onnx.save(float_graph(layout), tmp_path / "x.onnx")
    model = load_source(str(tmp_path / "x.onnx"), Recipe(spec=str(foreign_spec(tmp_path, layout))))
    (part,) = split_model(model, Recipe()).parts
    assert kinds(part.graph)[:6] == ["Cast", "Transpose", "Div", "Sub", "Div", "Conv"]
    assert lint(part.graph) == []
    pixels = feed()
    np.testing.assert_allclose(Runner(part.graph)(pixels)["logits"], model.reference(pixels)["logits"], atol=1e-6)


def float_graph(layout):
    b = Builder()
    value = b.add("Transpose", "planes", "image", perm=[0, 3, 1, 2]) if layout == "nhwc" else "image"
    b.add("Conv", "conv", value, b.normal("w", 8, 3, 3, 3))
    b.add("GlobalAveragePool", "pool", "conv")
    b.add("Flatten", "logits", "pool")
    shape = (3, HEIGHT, WIDTH) if layout == "nchw" else (HEIGHT, WIDTH, 3)
    return b.model([info("image", TensorProto.FLOAT, "N", *shape)], [info("logits", TensorProto.FLOAT, "N", 8)])


def foreign_spec(folder, layout="nchw"):
    path = folder / "spec.toml"
    path.write_text(
        f"""
[model]
name = "foreign"
[[model.inputs]]
modality = "image"
name = "image"
prepare = {{ size = [{HEIGHT}, {WIDTH}] }}
[[model.outputs]]
kind = "embedding"
name = "features"
reads = {{ values = "logits" }}
[model.sync]
driver = "image"
[front_end.image]
mean = {list(MEAN)}
std = {list(STD)}
layout = "{layout}"
"""
    )
    return path


def test_an_onnx_file_and_a_torch_module_get_the_same_front_end(tmp_path):
    """The nodes written for an ONNX file are those that torch makes of `Normalize`, with the same constants."""
    torch = pytest.importorskip("torch")
    from mm_edge.export.sources.torch_module import from_module
    from mm_edge.front_ends.picture import Normalize

    class Net(torch.nn.Module):
        def __init__(self, front_end):
            super().__init__()
            self.front_end, self.conv = front_end, torch.nn.Conv2d(3, 8, 3)

        def forward(self, image):
            return {"logits": self.conv(self.front_end(image)).mean((2, 3))}

    def in_rows(image):
        return ((image.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)

    onnx.save(float_graph("nchw"), tmp_path / "x.onnx")
    foreign = load_source(str(tmp_path / "x.onnx"), Recipe(spec=str(foreign_spec(tmp_path))))
    found = [front_end_of(split_model(foreign, Recipe()).parts[0].graph)]
    for front_end in (Normalize(MEAN, STD), in_rows):
        model = from_module(Net(front_end).eval(), foreign.spec, "net")
        found.append(front_end_of(split_model(model, Recipe()).parts[0].graph))
    assert found[0] == found[1] == found[2]
    assert [kind for kind, _ in found[0]] == ["Cast", "Transpose", "Div", "Sub", "Div"]


def front_end_of(graph):
    """The nodes before the first convolution, each with the numbers of its constant."""
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    found = []
    for node in graph.graph.node:
        if node.op_type == "Conv":
            return found
        found.append((node.op_type, [weights[name].reshape(-1).tolist() for name in node.input if name in weights]))
    return found


def test_constants_in_nodes_are_moved_like_weights():
    """Some converters write every constant as a node."""
    graph = arithmetic_then_transpose(*FORMS["three means"])
    wanted = Runner(graph, optimize="none")(feed())
    weights = [tensor for tensor in graph.graph.initializer if tensor.name != "image_w"]
    for tensor in weights:
        graph.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], tensor.name, value=tensor))
        graph.graph.initializer.remove(tensor)
    moved = reordered(graph)
    order = [kind for kind in kinds(moved) if kind != "Constant"]
    assert order == ["Cast", "Transpose", "Div", "Sub", "Div", "Conv"]
    for name, value in Runner(moved, optimize="none")(feed()).items():
        np.testing.assert_array_equal(value, wanted[name])
