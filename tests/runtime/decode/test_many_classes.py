"""Classes by the thousand: the best are told, and the first of equals wins."""

import numpy as np

from mm_edge.runtime.decode.classes import MOST_SCORES, ClassesDecoder
from mm_edge.runtime.decode.context import DecodeContext
from mm_edge.spec import ClassesOutput


def test_of_many_labels_the_best_are_told_best_first():
    labels = tuple(f"label {number}" for number in range(1000))
    decoder = ClassesDecoder(ClassesOutput(name="kind", reads={"logits": "logits"}, labels=labels))
    logits = np.random.default_rng(0).permutation(1000).astype(np.float32) / 100
    told = decoder.decode({"logits": logits[None]}, DecodeContext())
    order = np.argsort(-logits)
    assert list(told["scores"]) == [labels[index] for index in order[:MOST_SCORES]]
    assert told["label"] == labels[order[0]]
    assert told["score"] == max(told["scores"].values())
