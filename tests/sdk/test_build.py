"""mm-edge build: what it says where there is a GPU (a stand-in) and where there is none."""

from types import SimpleNamespace

import pytest

from mm_edge.errors import WorkFailedError
from mm_edge.runtime.engines.golden import GoldenResult
from mm_edge.runtime.engines.selection import select_engine
from mm_edge.runtime.engines.selection.select_engine import SelectedEngine
from mm_edge.shipped import default_bundle

PARTS = ("encode_image", "encode_audio", "encode_text", "fuse")


@pytest.fixture
def selecting(monkeypatch):
    """Makes `select_engine` return what a test says, and records what was requested."""
    requested = []

    def on(found):
        def instead(bundle, config, *, depth, watch):
            requested.append((config.name, config.precision))
            watch.announce("building 'fuse' in fp16: it was not built here before")
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(select_engine, "select_engine", instead)
        return requested

    return on


def selected_on_a_gpu(**more):
    facts = {"engine": "tensorrt", "built": dict.fromkeys(PARTS, "built in 3.1 s; 12 layers, 9 computing with fp16")}
    engine = SimpleNamespace(name="tensorrt", family="gpu", describe=lambda: facts, close=lambda: None)
    parts = {name: SimpleNamespace(precision="fp16", close=lambda: None) for name in PARTS}
    golden = [GoldenResult(name, "fp16", "x", 0.0012, 0.01) for name in (*PARTS, "chain")]
    return SelectedEngine(engine, parts, golden, **more)


def test_what_was_built_is_shown_with_its_error(command, selecting):
    requested = selecting(
        selected_on_a_gpu(
            skipped_engines={}, fallbacks=["fuse runs in fp16 instead of int8-trt: a relative error of 0.2"]
        )
    )
    outcome = command("build", default_bundle(), "--engine", "tensorrt", "--precision", "int8")
    assert outcome.code == 0
    assert requested == [("tensorrt", "int8")]
    assert outcome.out.count("built in 3.1 s; 12 layers, 9 computing with fp16") == len(PARTS)
    assert outcome.out.count("0.0012") == len(PARTS) + 1
    assert "fallback: fuse runs in fp16 instead of int8-trt: a relative error of 0.2" in outcome.out
    assert "tensorrt runs the bundle: built, cached and verified" in outcome.out
    assert "it was not built here before" in outcome.err


def test_an_engine_that_needs_no_build_says_so(command, selecting):
    found = selected_on_a_gpu()
    found.engine.name, found.engine.describe = "onnxruntime:cuda", lambda: {"engine": "onnxruntime:cuda"}
    selecting(found)
    outcome = command("build", default_bundle(), "--engine", "onnxruntime:cuda")
    assert outcome.code == 0
    assert outcome.out.count("nothing to build") == len(PARTS)
    assert "onnxruntime:cuda runs the bundle: verified; it needs no build" in outcome.out
    assert "cached" not in outcome.out


def test_without_a_gpu_it_says_what_was_found_and_what_to_do(command, selecting):
    found = selected_on_a_gpu(skipped_engines={"tensorrt": "no driver", "tensorrt-rtx": "no driver", "x": "not built"})
    found.engine.family = "cpu"
    selecting(found)
    outcome = command("build", default_bundle())
    assert (outcome.code, outcome.out) == (3, "")
    assert "tensorrt, tensorrt-rtx: no driver; x: not built" in outcome.err
    assert "mm-edge run BUNDLE" in outcome.err


def test_what_passes_in_no_precision_fails_the_work(command, selecting):
    selecting(WorkFailedError("'y' of the part 'fuse' in fp32 has a relative error of 0.3, allowed is 0.001"))
    outcome = command("build", default_bundle())
    assert outcome.code == 1
    assert "relative error of 0.3" in outcome.err


def test_an_interrupt_ends_with_its_own_code(command, monkeypatch):
    def interrupted(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(select_engine, "select_engine", interrupted)
    assert command("build", default_bundle()).code == 130


def test_help_explains(command):
    text = command("build", "--help").out
    assert "first start" in text
    assert "Ctrl-C" in text
    assert "--target" in text
