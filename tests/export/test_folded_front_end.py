"""A normalization folded into a convolution: the same result for every padding, stride, group and mean, or no fold."""

import numpy as np
import onnx
import pytest
from handmade_graphs import Builder, info
from onnx import TensorProto, helper, numpy_helper

from mm_edge.bundle.bundle import Bundle
from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs import folded_front_end
from mm_edge.export.graphs.folded_front_end import fold_front_ends, keep_uint8
from mm_edge.export.graphs.graph import GraphIndex
from mm_edge.export.graphs.runner import Runner, base_graph
from mm_edge.export.model import SourceModel
from mm_edge.export.pipeline import export
from mm_edge.export.precision.int8 import FORMS, calibrate, restored, rounded_outputs, to_int8_cpu, with_pixels
from mm_edge.export.recipe import Recipe
from mm_edge.spec import EmbeddingOutput, ImageInput, ImagePrepare, ModelSpec, Sync

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEIGHT, WIDTH, OUTPUTS = 21, 18, 12
ROUNDING = 1e-6  # of the largest value


def network(
    mean=MEAN, std=STD, scale=255.0, channels=3, pictures=("image",), bias=True, kernel=(3, 3), before="div", **conv
):
    """Pictures, each normalized and read by one convolution with these attributes; without a mean if it is None."""
    b = Builder()
    for name in pictures:
        b.add("Cast", f"{name}_cast", name, to=TensorProto.FLOAT)
        value = b.add("Transpose", f"{name}_planes", f"{name}_cast", perm=[0, 3, 1, 2])
        columns = {what: np.array(v, np.float32).reshape(-1, 1, 1) for what, v in (("m", mean or 0), ("s", std or 1))}
        for what, array in columns.items():
            b.weight(f"{name}_{what}", array)
        if before == "div":
            value = b.add("Div", f"{name}_scaled", value, b.weight(f"{name}_scale", np.float32(scale)))
            value = b.add("Sub", f"{name}_centred", value, f"{name}_m") if mean else value
            value = b.add("Div", f"{name}_unit", value, f"{name}_s") if std else value
        else:  # the same as m - x, negative, and a product with a constant on the left
            value = b.add("Mul", f"{name}_scaled", b.weight(f"{name}_scale", np.float32(1 / scale)), value)
            value = b.add("Sub", f"{name}_centred", f"{name}_m", value)
            value = b.add("Add", f"{name}_unit", b.weight(f"{name}_zero", np.float32(0)), value)
        groups = conv.get("group", 1)
        inputs = [value, b.normal(f"{name}_w", OUTPUTS, channels // groups, *kernel)]
        b.add("Conv", f"{name}_conv", *inputs, *([b.normal(f"{name}_b", OUTPUTS)] if bias else []), **conv)
    return b.model(
        [info(name, TensorProto.UINT8, "batch", HEIGHT, WIDTH, channels) for name in pictures],
        [info(f"{name}_conv", TensorProto.FLOAT, None, OUTPUTS, None, None) for name in pictures],
    )


def feed(names=("image",), channels=3, batch=2, seed=0):
    random = np.random.default_rng(seed)
    return {name: random.integers(0, 256, (batch, HEIGHT, WIDTH, channels), dtype=np.uint8) for name in names}


def kinds(graph):
    return [node.op_type for node in graph.graph.node]


def error(graph, other, given=None):
    """The largest difference of an output, of its largest value."""
    given = given or feed()
    wanted, got = Runner(graph)(given), Runner(other)(given)
    return max(float(np.abs(got[name] - wanted[name]).max() / np.abs(wanted[name]).max()) for name in wanted)


CASES = {
    "padded": {"pads": [1, 1, 1, 1]},
    "not padded": {},
    "odd padding": {"pads": [0, 3, 2, 1], "kernel": (5, 4)},
    "stride": {"pads": [3, 3, 3, 3], "kernel": (7, 7), "strides": [4, 3]},
    "dilated": {"pads": [2, 2, 2, 2], "dilations": [2, 2]},
    "patches": {"kernel": (7, 6), "strides": [7, 6]},
    "groups": {"pads": [1, 1, 1, 1], "group": 3},
    "valid": {"auto_pad": "VALID"},
    "no bias": {"pads": [1, 1, 1, 1], "bias": False},
    "mean 0": {"pads": [1, 1, 1, 1], "mean": None},
    "no deviation": {"pads": [1, 1, 1, 1], "std": None},
    "scale only": {"pads": [1, 1, 1, 1], "mean": None, "std": None},
    "one mean for all": {"pads": [1, 1, 1, 1], "mean": (0.5,), "std": (0.5,)},
    "grey": {"pads": [1, 1, 1, 1], "mean": (0.449,), "std": (0.226,), "channels": 1},
    "mean minus x": {"pads": [1, 1, 1, 1], "before": "mul"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_folded_convolution_computes_the_same(case):
    options = CASES[case]
    base = base_graph(network(**options))
    folded = fold_front_ends(base)
    onnx.checker.check_model(folded.graph, full_check=True)
    assert not {"Div", "Mul", "Add"} & set(kinds(folded.graph))
    assert kinds(folded.graph).count("Sub") <= 1
    assert error(base, folded.graph, feed(channels=options.get("channels", 3))) < ROUNDING


@pytest.mark.parametrize("case", ["padded", "odd padding", "stride", "dilated", "groups", "one mean for all"])
def test_a_fold_that_pads_with_zero_is_seen(monkeypatch, case):
    """What the test above would say of the usual mistake."""
    monkeypatch.setattr(folded_front_end.Channels, "border", lambda self: np.zeros(len(self.shift), np.float32))
    base = base_graph(network(**CASES[case]))
    assert error(base, fold_front_ends(base).graph) > 1000 * ROUNDING


def test_each_of_several_pictures_is_folded():
    names = ("left", "right")
    base = base_graph(network(pictures=names, pads=[1, 1, 1, 1]))
    folded = fold_front_ends(base)
    assert len(folded.pixels) == 2
    assert error(base, folded.graph, feed(names)) < ROUNDING


def test_the_border_costs_nothing_where_the_mean_is_zero_or_nothing_is_padded():
    made = {
        case: kinds(fold_front_ends(base_graph(network(**CASES[case]))).graph)
        for case in ("mean 0", "scale only", "not padded", "patches", "one mean for all")
    }
    assert made["mean 0"] == made["scale only"] == ["Cast", "Transpose", "Conv"]
    assert made["not padded"] == made["patches"] == ["Cast", "Transpose", "Sub", "Conv"]
    assert made["one mean for all"] == ["Cast", "Transpose", "Sub", "Pad", "Conv"]


NO_FOLD = {
    "no pixel is the mean": {"pads": [1, 1, 1, 1], "mean": (1.5, 0.4, 0.4)},
    "the picture's size decides the padding": {"auto_pad": "SAME_UPPER"},
}


@pytest.mark.parametrize("why", [*NO_FOLD, "two readers", "an output", "varies within a channel", "not a picture"])
def test_what_cannot_be_folded_stays(why):
    graph = network(**NO_FOLD.get(why, {"pads": [1, 1, 1, 1]}))
    if why == "two readers":
        graph.graph.node.append(helper.make_node("ReduceMax", ["image_unit"], ["most"], "most", keepdims=0))
        graph.graph.output.append(info("most", TensorProto.FLOAT))
    elif why == "an output":
        graph.graph.output.append(info("image_unit", TensorProto.FLOAT, None, 3, None, None))
    elif why == "varies within a channel":
        mean = next(tensor for tensor in graph.graph.initializer if tensor.name == "image_m")
        mean.CopyFrom(numpy_helper.from_array(np.random.default_rng(0).random((3, 1, WIDTH), np.float32), "image_m"))
    elif why == "not a picture":
        node = graph.graph.node[0]
        node.CopyFrom(helper.make_node("Identity", ["image"], ["image_cast"], "image_cast"))
        graph.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    base = base_graph(graph)
    folded = fold_front_ends(base)
    assert folded.graph is base
    assert not folded.pixels


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", ["padded", "odd padding", "patches", "mean 0"])
def test_int8_reads_pixels_as_they_are_and_loses_no_more(form, case):
    base = base_graph(network(**CASES[case]))
    # A calibration set that has no black and no white: the range of a pixel is known, whatever the samples are.
    dim = [{"image": (feed(seed=seed)["image"] // 2 + 40).astype(np.uint8)} for seed in range(4)]
    ranges = calibrate(base, [feed(seed=1), *dim], "minmax")
    folded = fold_front_ends(base)
    before = to_int8_cpu(base, ranges, form=form)
    after = to_int8_cpu(folded.graph, with_pixels(ranges, folded.pixels), folded.nodes, form=form)
    middle = 0 if case == "mean 0" else round(255 * sum(MEAN) / 3)
    assert pixel_rounding(after) == (1.0, middle)
    assert pixel_rounding(before)[0] != 1.0
    assert error(base, after) <= 1.05 * error(base, before)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_a_picture_that_stays_uint8_gives_the_same_bits(form, case):
    channels = CASES[case].get("channels", 3)
    base = base_graph(network(**CASES[case]))
    ranges, folded = calibrate(base, [feed(channels=channels, seed=1)], "minmax"), fold_front_ends(base)
    quantized = to_int8_cpu(folded.graph, with_pixels(ranges, folded.pixels), folded.nodes, form=form)
    uint8 = keep_uint8(quantized, folded)
    onnx.checker.check_model(uint8, full_check=True)
    assert not {"Cast", "Sub"} & set(kinds(uint8))
    assert kinds(uint8).count("QuantizeLinear") == kinds(quantized).count("QuantizeLinear") - 1
    given = feed(channels=channels)
    for optimize in ("none", "all"):
        wanted, got = (Runner(each, optimize=optimize)(given)["image_conv"] for each in (quantized, uint8))
        np.testing.assert_array_equal(got, wanted)


def test_several_pictures_stay_uint8():
    names = ("left", "right")
    base = base_graph(network(pictures=names, pads=[1, 1, 1, 1]))
    ranges, folded = calibrate(base, [feed(names, seed=1)], "minmax"), fold_front_ends(base)
    quantized = to_int8_cpu(folded.graph, with_pixels(ranges, folded.pixels), folded.nodes, form="heavy")
    uint8 = keep_uint8(quantized, folded)
    assert "Cast" not in kinds(uint8)
    for name, value in Runner(quantized)(feed(names)).items():
        np.testing.assert_array_equal(Runner(uint8)(feed(names))[name], value)


@pytest.mark.parametrize("why", ["kept in fp32", "another scale", "pixels read elsewhere", "not rounded to pixels"])
def test_a_picture_is_cast_where_uint8_would_not_be_the_same(why):
    graph = network(pads=[1, 1, 1, 1])
    if why == "pixels read elsewhere":
        graph.graph.output.append(info("image_planes", TensorProto.FLOAT, None, 3, HEIGHT, WIDTH))
    base = base_graph(graph)
    ranges, folded = calibrate(base, [feed(seed=1)], "minmax"), fold_front_ends(base)
    kept = {"image_conv"} if why == "kept in fp32" else set()
    known = with_pixels(ranges, folded.pixels)
    if why == "another scale":
        known = with_pixels(ranges, {name: middle + 3 for name, middle in folded.pixels.items()})
    quantized = to_int8_cpu(folded.graph, known, kept | set(folded.nodes), form="heavy")
    if why == "not rounded to pixels":
        scale = next(node for node in quantized.graph.node if node.op_type == "QuantizeLinear").input[1]
        tensor = next(tensor for tensor in quantized.graph.initializer if tensor.name == scale)
        tensor.CopyFrom(numpy_helper.from_array(np.float32(1.1), scale))
    uint8 = keep_uint8(quantized, folded)
    assert kinds(uint8) == kinds(quantized)
    for name, value in Runner(quantized)(feed()).items():
        np.testing.assert_array_equal(Runner(uint8)(feed())[name], value)


def pixel_rounding(graph):
    """Scale and zero point of what the first convolution reads."""
    index = GraphIndex(graph.graph)
    conv = next(node for node in graph.graph.node if node.op_type == "Conv")
    read = graph.graph.node[index.producer[conv.input[0]]]
    scale, zero = (numpy_helper.to_array(index.initializers[name]) for name in read.input[1:])
    return float(scale), int(zero)


@pytest.mark.parametrize("form", FORMS)
def test_a_folded_convolution_that_is_kept_in_fp32_is_exact(form):
    base = base_graph(network(pads=[1, 1, 1, 1]))
    folded = fold_front_ends(base)
    ranges = with_pixels(calibrate(base, [feed(seed=1)], "minmax"), folded.pixels)
    (conv,) = [node.name for node in folded.graph.graph.node if node.op_type == "Conv"]
    quantized = to_int8_cpu(folded.graph, ranges, folded.nodes, form=form)
    back = restored(quantized, folded.graph, {conv}, {conv}, rounded_outputs(form))
    assert error(base, back) < 10 * ROUNDING  # its bias stays in int32


def source():
    """One convolution over an overwhelming mean, so that its border decides the result."""
    graph = network(mean=(0.9, 0.9, 0.9), std=(0.05, 0.05, 0.05), pads=[2, 2, 2, 2], kernel=(5, 5), strides=[5, 5])
    graph.graph.output[0].CopyFrom(info("image_conv", TensorProto.FLOAT, "batch", OUTPUTS, 5, 4))
    spec = ModelSpec(
        name="made",
        inputs=(ImageInput("image", ImagePrepare((HEIGHT, WIDTH))),),
        outputs=(EmbeddingOutput("values", {"values": "image_conv"}),),
        sync=Sync("image"),
    )
    return SourceModel(
        spec,
        graph,
        Runner(graph),
        "made in a test",
        samples=lambda count: (feed(batch=1, seed=k) for k in range(count)),
    )


def test_the_exporter_folds_and_proves_it(tmp_path):
    exported = export(source(), tmp_path / "x.mmb", Recipe(precisions=("int8-cpu",)))
    rows = [row for row in exported.manifest.parity if row.precision == "int8-cpu"]
    assert rows
    assert all(row.passed for row in rows)
    with Bundle.open(tmp_path / "x.mmb") as bundle:
        packed = onnx.load_model_from_string(bundle.read(bundle.manifest.parts[0].artefacts["int8-cpu"].file))
    assert not {"Cast", "Sub", "Div"} & set(kinds(packed))
    assert pixel_rounding(packed) == (1.0, round(255 * 0.9))


def test_the_exporter_writes_no_bundle_with_a_wrong_fold(tmp_path, monkeypatch):
    monkeypatch.setattr(folded_front_end.Channels, "border", lambda self: np.zeros(len(self.shift), np.float32))
    with pytest.raises(WorkFailedError, match="int8-cpu"):
        export(source(), tmp_path / "x.mmb", Recipe(precisions=("int8-cpu",)))
    assert not (tmp_path / "x.mmb").exists()
