"""From a manifest to a decoder, and text token by token."""

from dataclasses import dataclass

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mm_edge import spec
from mm_edge.errors import BundleError
from mm_edge.runtime.decode import DecodeContext, decoder, generate

IMAGE = spec.ImageInput(name="image", prepare=spec.ImagePrepare(size=(64, 96)))
TEXT = spec.TextInput(name="text", prepare=spec.TextPrepare(tokenizer="tokenizer.json", length=8))
WORDS = {"[START]": 0, "[END]": 1, "the": 2, "red": 3, "ball": 4}
SENTENCE = spec.TextOutput(
    name="answer", reads={"logits": "part:d.logits"}, part="d", tokenizer="words.json", start=0, end=1, most=4
)


@dataclass
class Inputs:
    """A decoder uses only the inputs of a manifest."""

    def input(self, name):
        return {"image": IMAGE, "text": TEXT}[name]


def words():
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="the"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer.to_str().encode()


def no_file(name):
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("output", "tensors", "expected"),
    [
        (spec.ClassesOutput("o", {"logits": "x"}, ("a", "b")), {"logits": [[0, 0]]}, {"label": "a"}),
        (spec.LabelsOutput("o", {"logits": "x"}, ("a", "b")), {"logits": [[0, 0]]}, {"a": 0.5, "b": 0.5}),
        (spec.EmbeddingOutput("o", {"values": "x"}), {"values": [[1, 2]]}, [1, 2]),
        (spec.ScoresOutput("o", {"values": "x"}), {"values": [[3]]}, [3]),
        (spec.SimilarityOutput("o", {"scores": "x"}, "text"), {"scores": [[3]]}, [{"prompt": "p", "score": 1}]),
        (spec.BoxesOutput("o", {}, ("a",), "image"), {"boxes": [[[0, 0, 1, 1]]], "scores": [[[0.0]]]}, []),
        (spec.HeatmapOutput("o", {}, "image"), {"heatmap": [[[-9, -9]]]}, {"x": None, "y": None}),
        (spec.PointOutput("o", {}, "image"), {"point": [[0, 0]], "score": [[-9]]}, {"x": None, "y": None}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, spec.Strict) else "",
)
def test_every_kind_has_its_decoder(output, tensors, expected):
    made = decoder(output, Inputs(), no_file)
    out = made.decode(
        {role: np.array(rows, np.float32) for role, rows in tensors.items()}, DecodeContext(prompts={"text": ("p",)})
    )
    assert made.name == "o"
    assert out == expected if isinstance(expected, list) else expected.items() <= out.items()


def test_a_position_in_a_text_input_is_rejected():
    with pytest.raises(BundleError, match="'text', which is not an image"):
        decoder(spec.PointOutput("o", {}, "text"), Inputs(), no_file)


def script(*tokens):
    """A part that returns fixed tokens and records its inputs."""
    action = []

    def step(token):
        action.append(token)
        return np.eye(len(WORDS), dtype=np.float32)[None, tokens[len(action) - 1]]

    return step, action


def test_text_is_generated_until_its_end_token():
    step, requested = script(2, 3, 4, 1, 2)
    tokens = generate(SENTENCE, step)
    assert tokens.tolist() == [2, 3, 4]
    assert requested == [0, 2, 3, 4]  # each step reads the token before it
    made = decoder(SENTENCE, Inputs(), {"words.json": words()}.__getitem__)
    assert made.decode({"tokens": tokens}, DecodeContext()) == "the red ball"


def test_text_that_does_not_end_is_cut_off():
    step, requested = script(2, 3, 4, 2, 3, 4)
    assert generate(SENTENCE, step).tolist() == [2, 3, 4, 2]
    assert len(requested) == SENTENCE.most


def test_a_broken_tokenizer_is_refused():
    with pytest.raises(BundleError, match=r"words\.json.*not a valid tokenizer"):
        decoder(SENTENCE, Inputs(), lambda _name: b"\xff{}")
