"""A live run on the bundle that ships changes from ONNX Runtime to OpenVINO, and mm-edge tune measures both."""

import time

import pytest

pytest.importorskip("openvino", reason="needs the extra 'openvino'")

from sinks import Kept

from mm_edge.benchmarks.tune import tune
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import CameraConfig, RunConfig
from mm_edge.runtime.engines.selection.tuned import recall_choice
from mm_edge.runtime.session.engine import improver
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sources.camera.synthetic import SyntheticCamera
from mm_edge.runtime.sources.text.literal import LiteralText
from mm_edge.shipped import default_bundle

SOON_S = 60.0


@pytest.fixture
def bundle(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Bundle.open(default_bundle()) as opened:
        yield opened


def sources():
    camera = CameraConfig(width=640, height=360, fps=30.0)
    return [SyntheticCamera("image", camera), LiteralText("text", "the red cube")]


def test_a_live_run_changes_to_openvino_and_loses_nothing(bundle, monkeypatch):
    monkeypatch.setattr(improver, "WORTHWHILE", float("inf"))  # whether it is faster depends on the machine
    kept = Kept()
    until_s = time.monotonic() + SOON_S
    with Run(bundle, RunConfig(), sources(), [kept]) as run:
        while recall_choice(bundle, "latency") is None:
            assert not run.wait(0.05)
            assert time.monotonic() < until_s
        before = len(kept.predictions)
        while len(kept.predictions) < before + 10:
            assert not run.wait(0.05)
            assert time.monotonic() < until_s
    run.raise_error()
    assert kept.summary.engine["engine"] == "openvino"
    dropped = kept.summary.dropped["image"]
    assert kept.summary.captured["image"] == kept.summary.predictions + sum(dropped.values())
    assert dropped.get("failed", 0) == 0
    assert recall_choice(bundle, "latency").choice.engine == "openvino"
    with Run(bundle, RunConfig(), sources(), [Kept()]) as again:
        assert again.running.selected.engine.name == "openvino"


def test_tune_measures_both_engines(bundle):
    result = tune.Search(bundle, "latency", 1.0, lambda _spent, _trial: None).run()
    assert {trial.choice.engine for trial in result.trials if not trial.why_not} == {"onnxruntime", "openvino"}
    assert all(trial.p50_ms > 0 for trial in result.trials if not trial.why_not)
