"""What an engine shows of its layers, as TensorRT 10 and 11 spell it."""

import json
from types import SimpleNamespace

import pytest

from mm_edge.errors import EngineError, WorkFailedError
from mm_edge.runtime.engines.tensorrt.layers import check_layers, read_layers


def layer(kind, *types, name="node_conv", weights=None, key="Format/Datatype"):
    tensors = [{"Name": f"t{place}", "Dimensions": [1, 8], key: told} for place, told in enumerate(types)]
    made = {"Name": name, "LayerType": kind, "Inputs": tensors[:-1], "Outputs": tensors[-1:]}
    return {**made, "Weights": {"Type": weights, "Count": 9}} if weights else made


def told(*layers, eleven=False):
    outside = {"I/O Tensors": [{"Name": "x", "DataType": "Half"}]} if eleven else {"Bindings": ["x"]}
    return json.dumps({"Layers": list(layers), **outside})


@pytest.mark.parametrize(
    ("spelt", "kind"),
    [
        ("Row major linear FP16 format", "fp16"),
        ("Channel major FP16 format where channel % 8 == 0", "fp16"),
        ("Half", "fp16"),
        ("Row major linear FP32 format (kLINEAR)", "fp32"),
        ("Float", "fp32"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8"),
        ("INT8", "int8"),
    ],
)
@pytest.mark.parametrize("key", ["Format/Datatype", "DataType"])
def test_types_are_read_as_versions_spell_them(spelt, kind, key):
    assert read_layers(told(layer("CaskConvolution", spelt, spelt, key=key))).types == {kind: 1}


def test_what_only_moves_values_is_counted_and_not_judged():
    """Some versions call an int64 that is gathered INT8."""
    shown = read_layers(told(layer("Gather", "INT8", "INT8", name="gather"), layer("gemm", "Half", "Float")))
    assert (shown.layers, shown.types) == (2, {"fp16": 1, "fp32": 1})


def test_weights_tell_where_tensors_do_not():
    assert read_layers(told(layer("kgen", "N/A", "N/A", name="matmul_1", weights="Half"))).types == {"fp16": 1}


@pytest.mark.parametrize("names_only", ["conv1 + relu1", "matmul"])
def test_an_engine_without_details_shows_no_types(names_only):
    shown = read_layers(told(names_only))
    assert str(shown) == "1 layers, without type information"


def engine_that_tells(text):
    inspector = SimpleNamespace(get_engine_information=lambda form: text)
    return SimpleNamespace(create_engine_inspector=lambda: inspector)


LIBRARY = SimpleNamespace(title="TensorRT 10.3.0", trt=SimpleNamespace(LayerInformationFormat=SimpleNamespace(JSON=1)))
HALF, FLOAT = layer("gemm", "Half", "Half"), layer("gemm", "Float", "Float")
INT8 = layer("CaskConvolution", "Int8", "Half", weights="Int8")


@pytest.mark.parametrize("eleven", [False, True])
@pytest.mark.parametrize(
    ("precision", "layers", "heavy"),
    [
        ("fp16", [HALF, FLOAT], {"HALF": 1}),
        ("fp16", [FLOAT], {"HALF": 0}),  # the network had nothing heavy in half precision
        ("fp32", [FLOAT], {}),
        ("int8-trt", [INT8, HALF], {}),
        ("fp16", ["one layer of everything"], {"HALF": 9}),
    ],
)
def test_an_engine_that_agrees_is_taken(precision, layers, heavy, eleven):
    order = SimpleNamespace(precision=precision, label="'x'")
    assert check_layers(LIBRARY, engine_that_tells(told(*layers, eleven=eleven)), order, lambda: heavy)


@pytest.mark.parametrize("eleven", [False, True])
@pytest.mark.parametrize(
    ("precision", "layers"),
    [("fp16", [FLOAT]), ("int8-trt", [HALF, FLOAT]), ("fp32", [FLOAT, HALF]), ("fp32", [INT8])],
)
def test_an_engine_that_fell_back_is_refused(precision, layers, eleven):
    order = SimpleNamespace(precision=precision, label=f"'x' in {precision}")
    with pytest.raises(WorkFailedError, match=rf"inspecting 'x' in {precision} as built by TensorRT 10\.3\.0: it has"):
        check_layers(LIBRARY, engine_that_tells(told(*layers, eleven=eleven)), order, lambda: {"HALF": 1})


@pytest.mark.parametrize("text", ["", "Layers:\nconv1"])
def test_an_engine_that_does_not_tell_its_layers_is_one_that_does_not_load_here(text):
    """Another precision of it would tell as little, so `auto` has to go on to another engine."""
    order = SimpleNamespace(precision="fp32", label="'x' in fp32")
    with pytest.raises(
        EngineError, match=r"inspecting 'x' in fp32 as built by .*: its layer information is not valid JSON"
    ):
        check_layers(LIBRARY, engine_that_tells(text), order, dict)
