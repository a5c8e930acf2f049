"""Tokenizers that would use all memory, or panic, are refused when the bundle is opened or loaded."""

import base64
import json
import re

import numpy as np
import pytest
from bundles import tokenizer

from mm_edge.bundle.tokenizer_check import check_tokenizer
from mm_edge.errors import BundleError, InputError
from mm_edge.runtime.prepare.text import TextPreparer
from mm_edge.spec import TextInput, TextPrepare

TEXT = {"Sequence": {"id": "A", "type_id": 0}}
TOKEN = {"SpecialToken": {"id": "x", "type_id": 0}}


def changed(**parts) -> bytes:
    return json.dumps({**json.loads(tokenizer()), **parts}).encode()


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def sequence(*steps, key="normalizers"):
    return {"type": "Sequence", key: list(steps)}


def template(*pieces, ids=(0,)):
    token = {"id": "x", "ids": list(ids), "tokens": ["x"] * len(ids)}
    return {"type": "TemplateProcessing", "single": list(pieces), "pair": [], "special_tokens": {"x": token}}


def precompiled(*replacements):
    """The table of 256 units leads nowhere; what it could name stands behind it."""
    charsmap = (1024).to_bytes(4, "little") + bytes(1024) + b"".join(f"{each}\0".encode() for each in replacements)
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}


def preparer(content: bytes):
    return TextPreparer(TextInput(name="text", prepare=TextPrepare(tokenizer="tokenizer.json", length=8)), content)


def prepare(content: bytes, text: str):
    ids = np.zeros((1, 8), np.int64)
    preparer(content).write(text, {"": ids})
    return ids[0].tolist()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"normalizer": replace({"String": "a"}, "a" * 1000)}, "may make a text 1,000 times as long"),
        ({"normalizer": sequence(*[replace({"String": "a"}, "aa")] * 40)}, "times as long"),
        ({"normalizer": sequence(*[replace({"Regex": "x*"}, "a")] * 40)}, "times as long"),
        ({"normalizer": sequence(*[{"type": "ByteLevel"}] * 40)}, "times as long"),
        ({"normalizer": sequence(sequence(replace({"String": ""}, "a")))}, "replaces the empty text"),
        ({"normalizer": {"type": "Prepend", "prepend": "x" * 100_000}}, "prepends 100000 characters"),
        ({"pre_tokenizer": sequence(*[{"type": "ByteLevel"}] * 40, key="pretokenizers")}, "times as long"),
        ({"decoder": sequence(*[replace({"String": "a"}, "aa")] * 40, key="decoders")}, "its decoder may make"),
        ({"post_processor": template(TEXT, TEXT)}, "repeats the text"),
        ({"post_processor": sequence(template(*[TEXT] * 9), key="processors")}, "repeats the text"),
        ({"post_processor": template(TEXT, *[TOKEN] * 40, ids=[0] * 100)}, "adds 4000 tokens"),
        ({"padding": {"strategy": {"Fixed": 1 << 40}}}, "pads to 1,099,511,627,776 tokens"),
        ({"padding": {"strategy": "BatchLongest", "pad_to_multiple_of": 1 << 40}}, "pads to"),
        ({"normalizer": "Lowercase"}, "not an acceptable tokenizer"),
        ({"normalizer": {"type": "Replace"}}, "not an acceptable tokenizer"),
        ({"normalizer": sequence(*[{"type": "Prepend", "prepend": "x" * 500}] * 3)}, "normalizer prepends 1500"),
        ({"normalizer": sequence(*[sequence({"type": "Prepend", "prepend": "x" * 500})] * 3)}, "prepends 1500"),
        ({"normalizer": sequence(*[{"type": "Lowercase"}] * 300)}, "has 301 steps"),
        ({"normalizer": precompiled("z" * 1000)}, "may make a text 1,000 times as long"),
        ({"normalizer": sequence(*[precompiled("", "\u6587" * 18)] * 2)}, "may make a text 324 times as long"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}}, "its charsmap breaks off"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}}, "not an acceptable tokenizer"),
        (
            {"model": {"type": "WordPiece", "max_input_chars_per_word": 10**9}},
            "reads words of 1,000,000,000 characters",
        ),
    ],
)
def test_a_tokenizer_that_multiplies_its_text_is_refused(parts, message):
    with pytest.raises(BundleError, match=re.escape(message)):
        check_tokenizer("tokenizer.json", changed(**parts))


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"normalizer":' * 5_000])
def test_a_tokenizer_that_is_none_is_refused(content):
    with pytest.raises(BundleError):
        check_tokenizer("tokenizer.json", content)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"normalizer": sequence({"type": "NFC"}, replace({"Regex": "\\s+"}, " "), {"type": "Lowercase"})},  # as CLIP
        {"normalizer": sequence({"type": "Prepend", "prepend": "_"}, replace({"String": " "}, "_"))},  # as Llama
        {"post_processor": template(TOKEN, TEXT, TOKEN)},  # as BERT
        {"normalizer": precompiled("\u6587" * 18)},  # as T5
    ],
)
def test_tokenizers_like_published_ones_are_accepted(parts):
    check_tokenizer("tokenizer.json", changed(**parts))
    assert len(prepare(changed(**parts), "the red ball")) == 8


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def test_a_pattern_that_panics_is_refused_while_it_is_loaded():
    with pytest.raises(BundleError, match=r"reading the tokenizer tokenizer.json of input 'text': it panicked"):
        prepare(changed(pre_tokenizer=split("(a|aa)+$")), "")


def test_a_pattern_that_panics_on_one_text_only_fails_for_that_text():
    content = changed(pre_tokenizer=split("(y|yy)+$"))
    assert len(prepare(content, "the red ball")) == 8
    with pytest.raises(InputError, match=r"preparing input 'text': the tokenizer cannot read .*: it panicked"):
        prepare(content, "y" * 64 + "!")


def test_a_text_that_the_tokenizer_cannot_read_is_refused_where_it_enters():
    """A run checks a text before a moment uses it."""
    model = {**json.loads(tokenizer())["model"], "unk_token": "[NONE]"}
    with pytest.raises(InputError, match=r"cannot read 'zebra': .*Missing"):
        preparer(changed(model=model)).check("zebra", 1)
    with pytest.raises(InputError, match="it panicked"):
        preparer(changed(pre_tokenizer=split("(y|yy)+$"))).check("y" * 64 + "!", 1)


def test_the_end_of_a_very_long_text_is_not_read():
    assert prepare(tokenizer(), "stop " * 1_999) == prepare(tokenizer(), "stop " * 8)
