"""When two answers count as the same, kind by kind."""

import numpy as np
import pytest

from mm_edge.export.model import Labelled
from mm_edge.export.verify.parity import accuracy
from mm_edge.runtime.decode.agreement import agreement
from mm_edge.spec import (
    BoxesOutput,
    ClassesOutput,
    EmbeddingOutput,
    HeatmapOutput,
    LabelsOutput,
    PointOutput,
    ScoresOutput,
    SimilarityOutput,
)


def one(**tensors):
    return [{name: np.array(value, np.float32) for name, value in tensors.items()}]


CLASSES = ClassesOutput("o", {"logits": "t"}, ("a", "b", "c"))
LABELS = LabelsOutput("o", {"logits": "t"}, ("a", "b"))
SIMILARITY = SimilarityOutput("o", {"scores": "t"}, "text")
EMBEDDING = EmbeddingOutput("o", {"values": "t"})
SCORES = ScoresOutput("o", {"values": "t"})
POINT = PointOutput("o", {"point": "t", "score": "s"}, "image")
HEATMAP = HeatmapOutput("o", {"heatmap": "t", "score": "s"}, "image")
BOXES = BoxesOutput("o", {"boxes": "t", "scores": "s"}, ("a", "b"), "image")
PEAK, OTHER_PEAK = np.eye(1, 64, 9).reshape(1, 8, 8), np.eye(1, 64, 54).reshape(1, 8, 8)
BOX, OTHER_BOX = [[[0.1, 0.1, 0.5, 0.5]]], [[[0.4, 0.4, 0.8, 0.8]]]


@pytest.mark.parametrize(
    ("output", "got", "wanted", "same"),
    [
        (CLASSES, one(t=[[3, 1, 0]]), one(t=[[2, 1, 0]]), True),
        (CLASSES, one(t=[[1, 3, 0]]), one(t=[[3, 1, 0]]), False),
        (CLASSES, one(t=[[1.0, 1.001, 0]]), one(t=[[1.001, 1.0, 0]]), True),  # a tie may go either way
        (LABELS, one(t=[[2, -2]]), one(t=[[3, -3]]), True),
        (LABELS, one(t=[[-2, -2]]), one(t=[[3, -3]]), False),
        (SIMILARITY, one(t=[[1, 9]]), one(t=[[9, 1]]), False),
        (EMBEDDING, one(t=[[1, 0]]), one(t=[[2, 0.01]]), True),
        (EMBEDDING, one(t=[[1, 0]]), one(t=[[1, 0.2]]), False),
        (SCORES, one(t=[[1.01]]), one(t=[[1.0]]), True),
        (SCORES, one(t=[[1.2]]), one(t=[[1.0]]), False),
        (POINT, one(t=[[0.5, 0.5]], s=[[3]]), one(t=[[0.52, 0.5]], s=[[3]]), True),
        (POINT, one(t=[[0.5, 0.5]], s=[[3]]), one(t=[[0.7, 0.5]], s=[[3]]), False),
        (
            POINT,
            one(t=[[0.5, 0.5]], s=[[-3]]),
            one(t=[[0.7, 0.5]], s=[[-3]]),
            True,
        ),  # nothing is there
        (POINT, one(t=[[0.5, 0.5]], s=[[-3]]), one(t=[[0.5, 0.5]], s=[[3]]), False),
        (HEATMAP, one(t=PEAK, s=[[3]]), one(t=PEAK * 2, s=[[3]]), True),
        (HEATMAP, one(t=OTHER_PEAK, s=[[3]]), one(t=PEAK, s=[[3]]), False),
        (BOXES, one(t=BOX, s=[[[0.9, 0]]]), one(t=BOX, s=[[[0.8, 0]]]), True),
        (BOXES, one(t=OTHER_BOX, s=[[[0.9, 0]]]), one(t=BOX, s=[[[0.9, 0]]]), False),
        (BOXES, one(t=BOX, s=[[[0, 0.9]]]), one(t=BOX, s=[[[0.9, 0]]]), False),  # another label
        (BOXES, one(t=BOX, s=[[[0.9, 0]]]), one(t=BOX, s=[[[0.0, 0]]]), False),  # one that was not there
    ],
)
def test_the_same_answer(output, got, wanted, same):
    assert agreement(output, got, wanted) == float(same)


def test_accuracy_counts_the_labelled_class_by_name_or_number():
    samples = [Labelled({}, {"o": "b"}), Labelled({}, {"o": 2}), Labelled({}, {"o": "a"})]
    got = [*one(t=[[0, 1, 0]]), *one(t=[[0, 0, 1]]), *one(t=[[0, 0, 1]])]
    assert accuracy(CLASSES, got, samples) == pytest.approx(2 / 3)
    assert accuracy(EMBEDDING, got, samples) is None
    assert accuracy(CLASSES, [], []) is None
