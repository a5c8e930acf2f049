"""ONNX Runtime's threads: asked for by number, and spinning only where a part has several, only while it runs."""

import onnxruntime as ort
import pytest
from bundles import senses_bundle

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import EngineConfig, RunConfig
from mm_edge.errors import EngineError
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.selection.choose import load_parts
from mm_edge.runtime.session import predict


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")) as opened:
        yield opened


@pytest.fixture
def options_given(monkeypatch):
    """What each session is made with."""
    given, make = [], ort.InferenceSession

    def watched(graph, options, **more):
        given.append(options)
        return make(graph, options, **more)

    monkeypatch.setattr(ort, "InferenceSession", watched)
    return given


@pytest.mark.parametrize(("threads", "spins"), [(1, "0"), (2, "1")])
def test_helpers_spin_within_a_run_and_stop_with_it(bundle, options_given, threads, spins):
    names = [part.name for part in bundle.manifest.parts]
    load_parts(bundle, OnnxRuntimeEngine(), dict.fromkeys(names, "fp32"), dict.fromkeys(names, threads))
    assert len(options_given) == len(names)
    for options in options_given:
        assert options.intra_op_num_threads == threads
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == spins
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.parametrize(("requested", "given"), [(0, 3), (1, 1)])
def test_one_prediction_has_all_the_cores_unless_told_otherwise(bundle, options_given, monkeypatch, requested, given):
    monkeypatch.setattr(predict, "usable_cores", lambda: 3)
    predict.Predictor.load(bundle, RunConfig(engine=EngineConfig(threads=requested))).close()
    assert {options.intra_op_num_threads for options in options_given} == {given}


@pytest.mark.skipif("AzureExecutionProvider" not in ort.get_available_providers(), reason="ONNX Runtime without Azure")
def test_a_provider_that_does_not_take_a_part_is_told_with_its_reason_and_nothing_falls_back(bundle, capsys):
    """Azure's computes nothing itself, so it can take no graph."""
    names = [part.name for part in bundle.manifest.parts]
    with pytest.raises(EngineError, match="fallback to CPU EP has been explicitly disabled"):
        load_parts(
            bundle, OnnxRuntimeEngine("AzureExecutionProvider"), dict.fromkeys(names, "fp32"), dict.fromkeys(names, 1)
        )
    assert capsys.readouterr().out == ""
