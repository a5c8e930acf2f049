"""The public names: a program of a user needs nothing else, and importing them leaves the process as it was."""

import json
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


# A model in a file of its own, as users have it.
MODEL = """
import torch, mm_edge
from mm_edge.spec import ScoresOutput, Sync, VectorInput, VectorPrepare

class Sum(torch.nn.Module):
    spec = mm_edge.ModelSpec(
        name="sum",
        inputs=tuple(VectorInput(name=name, prepare=VectorPrepare(size=4)) for name in ("left", "right")),
        outputs=(ScoresOutput(name="sum", reads={"values": "sum"}),),
        sync=Sync(driver="left"),
    )

    def forward(self, left, right):
        return {"sum": left + 2 * right}
"""


@pytest.fixture(scope="module")
def module():
    names = {}
    exec(MODEL, names)
    return names["Sum"]()


@pytest.mark.parametrize("form", ["module", "pair", "function", "function of a pair"])
def test_a_torch_model_is_taken_in_every_form(module, form, monkeypatch):
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.sources.factory import from_python

    pair = (module, module.spec)
    monkeypatch.setattr("mm_edge.export.sources.torch_module.from_module", lambda module, spec, _origin: (module, spec))
    source = {"module": module, "pair": pair, "function": lambda: module, "function of a pair": lambda: pair}[form]
    assert from_python(source, Recipe()) == pair


# In a process of its own, whose loggers nobody else has set.
EXPORT = """
import json, logging, sys, torch.onnx, onnxscript

def levels():
    foreign = [name for name in logging.root.manager.loggerDict if not name.startswith("mm_edge")]
    return {name: logging.getLogger(name).level for name in foreign}

before = levels()
exported = mm_edge.export(Sum(), sys.argv[1], precision="fp32", seed=3)
changed = [name for name, level in levels().items() if level != before.get(name, 0)]
precisions = sorted({row.precision for row in exported.parity})
print(json.dumps({"path": str(exported.path), "precisions": precisions, "changed": changed}))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What a program that exports its model reports, and the path that it gave."""
    path = tmp_path_factory.mktemp("exported") / "sum.mmb"
    command = [sys.executable, "-c", MODEL + EXPORT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), path


def test_a_torch_model_is_exported_from_python_and_runs(exported):
    report, path = exported
    assert report["path"] == str(path)
    assert report["precisions"] == ["fp32"]
    with mm_edge.open(path) as session:
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


def test_an_export_leaves_the_loggers_of_other_libraries_as_they_were(exported):
    report, _ = exported
    assert report["changed"] == []
