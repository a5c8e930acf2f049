"""mm-edge build: what it says where there is a GPU (a stand-in) and where there is none."""

from types import SimpleNamespace

import pytest

from mm_edge.errors import WorkFailedError
from mm_edge.runtime.engines.golden import Shown
from mm_edge.runtime.engines.selection import select_engine
from mm_edge.runtime.engines.selection.select_engine import Settled
from mm_edge.shipped import default_bundle

PARTS = ("encode_image", "encode_audio", "encode_text", "fuse")


@pytest.fixture
def settles(monkeypatch):
    """Has `settle` give what a test says, and shows what it was asked."""
    requested = []

    def on(found):
        def instead(bundle, config, *, depth, watch):
            requested.append((config.name, config.precision))
            watch.say("building 'fuse' in fp16: it was never built here")
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(select_engine, "settle", instead)
        return requested

    return on


def settled_on_a_gpu(**more):
    told = {"engine": "tensorrt", "built": dict.fromkeys(PARTS, "built in 3.1 s; 12 layers, 9 computing with fp16")}
    engine = SimpleNamespace(name="tensorrt", family="gpu", describe=lambda: told, close=lambda: None)
    parts = {name: SimpleNamespace(precision="fp16", close=lambda: None) for name in PARTS}
    golden = [Shown(name, "fp16", "x", 0.0012, 0.01) for name in (*PARTS, "chain")]
    return Settled(engine, parts, golden, **more)


def test_what_was_built_is_shown_with_how_far_it_is_off(command, settles):
    requested = settles(
        settled_on_a_gpu(passed_over={}, fell=["fuse runs in fp16 instead of int8-trt: it is off by 0.2"])
    )
    outcome = command("build", default_bundle(), "--engine", "tensorrt", "--precision", "int8")
    assert outcome.code == 0
    assert requested == [("tensorrt", "int8")]
    assert outcome.out.count("built in 3.1 s; 12 layers, 9 computing with fp16") == len(PARTS)
    assert outcome.out.count("0.0012") == len(PARTS) + 1
    assert "note: fuse runs in fp16 instead of int8-trt: it is off by 0.2" in outcome.out
    assert "tensorrt runs it here: built, kept and checked" in outcome.out
    assert "it was never built here" in outcome.err


def test_an_engine_that_builds_nothing_ahead_says_so(command, settles):
    found = settled_on_a_gpu()
    found.engine.name, found.engine.describe = "onnxruntime:cuda", lambda: {"engine": "onnxruntime:cuda"}
    settles(found)
    outcome = command("build", default_bundle(), "--engine", "onnxruntime:cuda")
    assert outcome.code == 0
    assert outcome.out.count("nothing to build") == len(PARTS)
    assert "onnxruntime:cuda runs it here: checked; it builds nothing ahead" in outcome.out
    assert "kept" not in outcome.out


def test_without_a_gpu_it_says_what_was_found_and_what_to_do(command, settles):
    found = settled_on_a_gpu(passed_over={"tensorrt": "no driver", "tensorrt-rtx": "no driver", "x": "not built"})
    found.engine.family = "cpu"
    settles(found)
    outcome = command("build", default_bundle())
    assert (outcome.code, outcome.out) == (3, "")
    assert "tensorrt, tensorrt-rtx: no driver; x: not built" in outcome.err
    assert "mm-edge run BUNDLE" in outcome.err


def test_what_passes_in_no_precision_fails_the_work(command, settles):
    settles(WorkFailedError("'y' of the part 'fuse' in fp32 is off by 0.3, allowed is 0.001"))
    outcome = command("build", default_bundle())
    assert outcome.code == 1
    assert "off by 0.3" in outcome.err


def test_an_interrupt_ends_with_its_own_code(command, monkeypatch):
    def interrupted(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(select_engine, "settle", interrupted)
    assert command("build", default_bundle()).code == 130


def test_help_teaches(command):
    told = command("build", "--help").out
    assert "first start" in told
    assert "Ctrl-C" in told
    assert "--target" in told
