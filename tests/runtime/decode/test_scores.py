"""Labels, numbers and prompts."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mm_edge.errors import InputError, WorkFailedError
from mm_edge.runtime.decode import DecodeContext
from mm_edge.runtime.decode.activation import activate
from mm_edge.runtime.decode.classes import ClassesDecoder, LabelsDecoder
from mm_edge.runtime.decode.numbers import EmbeddingDecoder, ScoresDecoder, SimilarityDecoder
from mm_edge.spec import ClassesOutput, EmbeddingOutput, LabelsOutput, ScoresOutput, SimilarityOutput

NOTHING = DecodeContext()
LOGITS = {"logits": "part:a.y"}


@given(arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e4, 1e4, width=32)))
def test_activations_agree_with_their_definition_and_never_overflow(logits):
    exact = logits.astype(np.float64)
    with np.errstate(all="raise", under="ignore"):
        softmax, sigmoid = activate(logits, "softmax"), activate(logits, "sigmoid")
    grown = np.exp(exact - exact.max())
    assert np.allclose(softmax, grown / grown.sum(), atol=1e-5)
    assert np.allclose(sigmoid, 1 / (1 + np.exp(-np.clip(exact, -700, 700))), atol=1e-6)


def test_half_precision_is_computed_in_single():
    assert activate(np.array([60000.0, 0.0], np.float16), "softmax").tolist() == [1.0, 0.0]


def test_classes_have_the_contracts_keys():
    decoder = ClassesDecoder(ClassesOutput(name="sign", reads=LOGITS, labels=("stop", "go", "wait")))
    out = decoder.decode({"logits": np.array([[0.0, 3.0, 1.0]], np.float32)}, NOTHING)
    assert out["label"] == "go"
    assert list(out) == ["label", "score", "scores"]
    assert out["score"] == out["scores"]["go"] == max(out["scores"].values())
    assert sum(out["scores"].values()) == pytest.approx(1, abs=1e-6)
    assert msgspec.json.decode(msgspec.json.encode(out)) == out


def test_labels_are_scored_apart():
    decoder = LabelsDecoder(LabelsOutput(name="heard", reads=LOGITS, labels=("alarm", "speech")))
    out = decoder.decode({"logits": np.array([[0.0, 100.0]], np.float32)}, NOTHING)
    assert out == {"alarm": 0.5, "speech": 1.0}


def test_a_graph_with_other_labels_than_the_manifest_is_no_silent_cut():
    decoder = LabelsDecoder(LabelsOutput(name="heard", reads=LOGITS, labels=("alarm", "speech")))
    with pytest.raises(ValueError, match="zip"):
        decoder.decode({"logits": np.zeros((1, 3), np.float32)}, NOTHING)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_an_error_and_no_answer(bad):
    decoder = ClassesDecoder(ClassesOutput(name="sign", reads=LOGITS, labels=("stop", "go")))
    with pytest.raises(WorkFailedError, match=r"decoding the output 'sign'.*not finite"):
        decoder.decode({"logits": np.array([[bad, 0]], np.float32)}, NOTHING)


def test_numbers_are_lists_or_go_by_label():
    values = np.array([[0.25, -2.0]], np.float32)
    assert EmbeddingDecoder(EmbeddingOutput(name="e", reads={"values": "part:a.y"})).decode(
        {"values": values}, NOTHING
    ) == [0.25, -2.0]
    assert ScoresDecoder(ScoresOutput(name="s", reads={"values": "part:a.y"})).decode({"values": values}, NOTHING) == [
        0.25,
        -2.0,
    ]
    labelled = ScoresOutput(name="s", reads={"values": "part:a.y"}, labels=("x", "y"))
    assert ScoresDecoder(labelled).decode({"values": values}, NOTHING) == {"x": 0.25, "y": -2.0}


SIMILARITY = SimilarityOutput(name="which", reads={"scores": "part:a.y"}, input="text")


def test_padding_rows_take_no_share_of_the_prompts():
    rows = np.array([[1.0, 1.0, 99.0, 99.0]], np.float32)
    out = SimilarityDecoder(SIMILARITY).decode({"scores": rows}, DecodeContext(prompts={"text": ("a cat", "a dog")}))
    assert out == [{"prompt": "a cat", "score": 0.5}, {"prompt": "a dog", "score": 0.5}]


def test_more_prompts_than_scores_are_refused():
    with pytest.raises(InputError, match="got 3 prompts, but the model returns scores for 2"):
        SimilarityDecoder(SIMILARITY).decode(
            {"scores": np.zeros((1, 2), np.float32)}, DecodeContext(prompts={"text": ("a", "b", "c")})
        )


def test_no_prompts_no_scores():
    assert SimilarityDecoder(SIMILARITY).decode({"scores": np.zeros((1, 2), np.float32)}, NOTHING) == []
