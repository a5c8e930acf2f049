"""Thousands of classes: the best are listed, and the first wins a tie."""

import numpy as np
import pytest

from mm_edge.runtime.decode.activation import activate
from mm_edge.runtime.decode.classes import MOST_SCORES, ClassesDecoder
from mm_edge.runtime.decode.context import DecodeContext
from mm_edge.spec import ClassesOutput

LABELS = tuple(f"label {number}" for number in range(1000))


def decoded(logits, activation="softmax"):
    output = ClassesOutput(name="kind", reads={"logits": "logits"}, labels=LABELS, activation=activation)
    return ClassesDecoder(output).decode({"logits": logits[None]}, DecodeContext())


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_the_scores_are_those_of_all_of_them(activation):
    logits = np.random.default_rng(0).normal(size=1000).astype(np.float32) * 4
    shown, scores = decoded(logits, activation), activate(logits, activation)
    exact = {
        LABELS[index]: pytest.approx(float(scores[index]), rel=1e-5) for index in np.argsort(-logits)[:MOST_SCORES]
    }
    assert shown["scores"] == exact
    assert list(shown["scores"]) == list(exact)
    assert shown["score"] == shown["scores"][shown["label"]]


def test_of_equals_the_first_label_wins_however_many_there_are():
    shown = decoded(np.zeros(1000, np.float32))
    assert shown["label"] == next(iter(shown["scores"])) == "label 0"
    assert len(shown["scores"]) == MOST_SCORES
    assert shown["score"] == pytest.approx(0.001)


def test_numbers_too_large_to_be_added_are_no_fault():
    shown = decoded(np.full(1000, 3e38, np.float32))
    assert shown["score"] == pytest.approx(0.001)


def test_of_many_labels_the_best_are_listed_best_first():
    logits = np.random.default_rng(0).permutation(1000).astype(np.float32) / 100
    shown = decoded(logits)
    order = np.argsort(-logits)
    assert list(shown["scores"]) == [LABELS[index] for index in order[:MOST_SCORES]]
    assert shown["label"] == LABELS[order[0]]
    assert shown["score"] == max(shown["scores"].values())
