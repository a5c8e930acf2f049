"""torch factories: what they may return, what is told when they fail, and one export from end to end."""

import sys

import pytest

torch = pytest.importorskip("torch")

from fusion_models import make  # noqa: E402

from mm_edge.bundle.bundle import Bundle  # noqa: E402
from mm_edge.errors import MissingExtraError, UsageError, WorkFailedError  # noqa: E402
from mm_edge.export.pipeline import export, load_source  # noqa: E402
from mm_edge.export.recipe import Recipe  # noqa: E402
from mm_edge.export.sources.torch_module import from_module  # noqa: E402

MODULE = """
import torch
from fusion_models import make
def good(): return make(("image", "vector"), "concat", presence=True)
def pair(): model = make(("image", "vector"), "concat"); return model, model.spec
def fails(): raise RuntimeError("the checkpoint is not there")
def number(): return 3
def bare(): return torch.nn.Linear(2, 2)
value = 4
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "their_models.py").write_text(MODULE)
    (tmp_path / "broken_import.py").write_text("import surely_not_there_at_all\n")
    (tmp_path / "broken_code.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in ("their_models", "broken_import", "broken_code"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("their_models:fails", r"RuntimeError: the checkpoint is not there \(.*their_models.py, line 6\)"),
        ("their_models:number", "got int, expected a torch module"),
        ("their_models:bare", "its spec is NoneType"),
        ("their_models:value", "'value' cannot be called"),
        ("their_models:nothing", "'their_models' has no 'nothing'"),
        ("no_such_module:make", "there is no module 'no_such_module'"),
        ("broken_import:make", "ModuleNotFoundError: No module named 'surely_not_there_at_all'"),
        ("broken_code:make", "ZeroDivisionError"),
        ("nonsense", "'nonsense' is not a source.*zoo:NAME"),
    ],
)
def test_what_is_wrong_with_a_factory_is_told(package, source, match):
    with pytest.raises(UsageError, match=match):
        load_source(source, Recipe())


def test_a_missing_torch_is_the_pip_line(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mm-edge\[export\]'"):
        load_source("their_models:good", Recipe())


def test_a_factory_becomes_a_bundle(package, tmp_path):
    target = tmp_path / "out" / "x.mmb"
    exported = export("their_models:good", target, Recipe(precisions=("fp16",), split="always"))
    with Bundle.open(target) as bundle:
        assert [part.name for part in bundle.manifest.parts] == ["encode_image", "encode_vector", "fuse"]
        fuse = bundle.manifest.part("fuse")
        assert fuse.reads["presence"].source == "presence"
        assert bundle.manifest.made["source"] == "their_models:good"
        for name in bundle.manifest.digests:
            assert str(package).encode() not in bundle.read(name)  # nothing tells of the machine
    assert max(row.relative_error for row in exported.manifest.parity if row.precision == "fp32") < 1e-5


class Renamed(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.spec = spec

    def forward(self, picture):
        return picture


def test_an_input_that_forward_does_not_know():
    spec = make(("image", "vector"), "concat").spec
    with pytest.raises(UsageError, match=r"forward takes \['picture'\], the spec needs \['image', 'vector'\] too"):
        from_module(Renamed(spec), spec, "made")


class Branching(torch.nn.Module):
    def forward(self, image, vector):
        if float(vector.sum()) > 0:
            return {"logits": vector[:, :4], "fused": vector}
        return {"logits": -vector[:, :4], "fused": vector + float(image.float().sum())}


@pytest.mark.slow
def test_flow_that_depends_on_data_is_named():
    spec = make(("image", "vector"), "concat").spec
    with pytest.raises(WorkFailedError, match="Control flow that depends on data"):
        from_module(Branching(), spec, "made")


def test_a_tokenizer_that_is_not_given():
    model = make(("image", "text"), "concat")
    model.files = {}
    from mm_edge.export.sources.torch_module import _check_tokenizers

    with pytest.raises(UsageError, match=r"the spec names the tokenizer \['tokenizer.json'\], which is not given"):
        _check_tokenizers(model.spec, model.files, "made")
