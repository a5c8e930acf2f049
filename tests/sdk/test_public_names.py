"""The public names: a program of a user needs nothing else, and importing them leaves the process as it was."""

import subprocess
import sys

import numpy as np
import pytest

import mm_edge


def test_what_is_promised_is_offered():
    promised = "open export Bundle Session RunConfig Prediction Event Source Sink Engine ModelSpec spec zoo front_ends"
    errors = [name for name in dir(mm_edge.errors) if name.endswith("Error") and not hasattr(__builtins__, name)]
    assert {*promised.split(), *errors} <= set(mm_edge.__all__)


@pytest.mark.parametrize("first", ["mm_edge", "mm_edge.export.pipeline", "mm_edge.export"])
def test_export_is_the_function_whichever_is_imported_first(first):
    program = f"import {first}, mm_edge; assert callable(mm_edge.export), mm_edge.export"
    program += "; from mm_edge import export; from mm_edge.export.recipe import Recipe; assert callable(export)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert mm_edge.__version__ == version("mm-edge")


@pytest.fixture(scope="module")
def module():
    import torch

    class Sum(torch.nn.Module):
        spec = mm_edge.ModelSpec(
            name="sum",
            inputs=tuple(
                mm_edge.spec.VectorInput(name=name, prepare=mm_edge.spec.VectorPrepare(size=4))
                for name in ("left", "right")
            ),
            outputs=(mm_edge.spec.ScoresOutput(name="sum", reads={"values": "sum"}),),
            sync=mm_edge.spec.Sync(driver="left"),
        )

        def forward(self, left, right):
            return {"sum": left + 2 * right}

    return Sum()


@pytest.mark.parametrize("form", ["module", "pair", "function"])
def test_a_torch_model_is_exported_from_python(module, form, tmp_path):
    source = {"module": module, "pair": (module, module.spec), "function": lambda: module}[form]
    exported = mm_edge.export(source, tmp_path / "sum.mmb", precision="fp32", seed=3)
    assert exported.path == tmp_path / "sum.mmb"
    assert {row.precision for row in exported.parity} == {"fp32"}
    with mm_edge.open(exported.path) as session:
        ones = np.ones(4, np.float32)
        assert session.predict(left=ones, right=ones).outputs["sum"] == pytest.approx([3, 3, 3, 3])


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (3, {}, "got int, expected a torch module"),
        ("zoo:scout", {"precision": "fp8"}, "'fp8' is not a precision"),
        ("zoo:scout", {"tolerance": 5}, "tolerance"),
        ("zoo:scout", {"split": "sometimes"}, "split"),
        ("nothing.onnx", {}, "nothing.onnx"),
    ],
)
def test_what_cannot_be_exported_is_a_usage_error_and_nothing_is_written(source, options, said, tmp_path):
    with pytest.raises(mm_edge.UsageError, match=said):
        mm_edge.export(source, tmp_path / "x.mmb", **options)
    assert not list(tmp_path.iterdir())


def test_an_export_leaves_the_loggers_of_other_libraries_as_they_were(tmp_path):
    program = f"""
import logging, torch, torch.onnx, onnxscript, mm_edge
def levels():
    foreign = [name for name in logging.root.manager.loggerDict if not name.startswith("mm_edge")]
    return {{name: logging.getLogger(name).level for name in foreign}}
before = levels()
mm_edge.export("zoo:scout", {str(tmp_path / "x.mmb")!r}, precision="fp32")
print([name for name, level in levels().items() if level != before.get(name, 0)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
