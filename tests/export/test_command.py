"""`mm-edge export` as a user runs it: exit codes, one message, the tables, the page."""

import onnx
import pytest
from handmade_graphs import picture_and_vector

from mm_edge.bundle.bundle import Bundle
from mm_edge.cli.app import run


@pytest.fixture
def model(tmp_path, monkeypatch):
    graph = picture_and_vector()
    onnx.save(graph, tmp_path / "made.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_becomes_a_bundle_and_a_page(model, capsys):
    assert run(["export", "made.onnx", "-o", "x.mmb", "--precision", "fp16", "--report", "x.html"]) == 0
    out = capsys.readouterr().out
    for words in (
        "work saved while only this input changes",
        "relative error",
        "same answer",
        "the spec was guessed",
        "written, reloaded and checked",
    ):
        assert words in out
    page = (model / "x.html").read_text()
    assert page.count("<svg") == 2
    assert "encode_image" in page
    assert run(["verify", "x.mmb"]) == 0


def test_a_dry_run_writes_nothing(model, capsys):
    assert run(["export", "made.onnx", "-o", "x.mmb", "--dry-run"]) == 0
    assert "int8-cpu and int8-trt, chosen by measurement" in capsys.readouterr().out
    assert not (model / "x.mmb").exists()


def test_a_node_that_is_to_stay_fp32_does(model):
    words = ["made.onnx", "-o", "x.mmb", "--precision", "fp16", "--split", "never", "--keep-fp32", "conv2"]
    assert run(["export", *words]) == 0
    with Bundle.open(model / "x.mmb") as bundle:
        (part,) = bundle.manifest.parts
        graph = onnx.load_from_string(bundle.read(part.artefacts["fp16"].file))
    types = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    assert types["conv2.w"] == onnx.TensorProto.FLOAT
    assert types["conv1.w"] == onnx.TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nothing"], 2, "'nothing' is not a source"),
        (["zoo:nothing"], 2, "loading zoo:nothing: the zoo has no model 'nothing'; available: scout"),
        (["made.onnx", "--precision", "fp8"], 2, "'fp8' is not a precision"),
        (["made.onnx", "--precision", "int8"], 2, "there are no samples to calibrate on"),
        (["made.onnx", "--precision", "fp16", "--tolerance", "0.000001"], 1, "No bundle was written"),
        (["made.onnx", "--precision", "fp16", "--keep-fp32", "conv3"], 2, "there is no node 'conv3'"),
        (["made.onnx", "--target", "cuda:86"], 2, "'cuda:86' is not a target"),
        (["made.onnx", "--calibrate", "nowhere"], 2, "there is no such folder"),
    ],
)
def test_what_goes_wrong_is_one_message_and_its_exit_code(model, capsys, words, code, message):
    assert run(["export", *words, "-o", "x.mmb"]) == code
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (model / "x.mmb").exists()


def test_inspect_tells_what_crosses_and_what_is_saved(model, capsys):
    assert run(["export", "made.onnx", "-o", "x.mmb", "--precision", "fp32", "--split", "always"]) == 0
    capsys.readouterr()
    with Bundle.open(model / "x.mmb") as bundle:
        flops = {part.name: part.cost.flops for part in bundle.manifest.parts}
    assert run(["inspect", "x.mmb"]) == 0
    out = capsys.readouterr().out
    image, vector, fuse = flops["encode_image"], flops["encode_vector"], flops["fuse"]
    for number in (image, vector, fuse):
        assert f"{number:,}" in out
    assert out.count("128 bytes") == 2  # 32 floats from each encoder
    assert f"image {vector / (image + vector + fuse):.0%}, vector {image / (image + vector + fuse):.0%}" in out
