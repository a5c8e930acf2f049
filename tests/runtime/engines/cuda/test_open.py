"""A package that is installed and does not load: the engine says so by its name, and `auto` goes on to the next."""

import sys

import pytest
from bundles import senses_bundle

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import EngineConfig
from mm_edge.errors import EngineError
from mm_edge.runtime.engines.cuda import open as opening
from mm_edge.runtime.engines.selection import select_engine
from mm_edge.runtime.engines.selection.choose import open_engine

DEVICE = "mm_edge.runtime.engines.cuda.device"
ENGINES = ("tensorrt", "tensorrt-rtx", "onnxruntime:cuda")


@pytest.fixture(
    params=[
        ImportError("_driver.so: undefined symbol: cuCtxCreate_v4"),
        OSError("libcurand.so.10: cannot open shared object file"),
    ],
    ids=lambda error: type(error).__name__,
)
def broken(request, monkeypatch, tmp_path):
    """A pycuda that is there and raises this while it is imported."""
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda/__init__.py").touch()
    (tmp_path / "pycuda/driver.py").write_text(f"raise {request.param!r}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(opening, "missing", lambda engine: [])
    for name in ("pycuda", "pycuda.driver", DEVICE):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield request.param
    sys.modules.pop("pycuda", None)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_was_named_ends_with_exit_3_and_names_it(broken, name):
    with pytest.raises(EngineError) as raised:
        open_engine(EngineConfig(name=name))
    assert f"the package 'pycuda' is installed but does not load: {broken}" in str(raised.value)
    assert raised.value.exit_code == 3


def test_auto_goes_on_and_tells_it(broken, monkeypatch, tmp_path):
    monkeypatch.setattr(select_engine, "why_not", lambda name: "")
    with Bundle.open(senses_bundle(tmp_path / "senses.mmb", golden=True)) as bundle:
        selected = select_engine.select_engine(bundle, EngineConfig(), depth=1)
    assert selected.engine.name == "onnxruntime"
    assert all(f"does not load: {broken}" in selected.failed_engines[name] for name in ENGINES)
