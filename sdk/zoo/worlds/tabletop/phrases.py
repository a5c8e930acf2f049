"""Phrases that name a body: many wordings of colour and shape, and their vocabulary."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .mesh import SHAPES
from .scene import COLORS, SPLIT_NUMBER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from mm_edge.zoo.arrays import Ints

    from .scene import Split

TEXT_LENGTH = 16
PAD, UNKNOWN = 0, 1
STRANGE_PHRASES, STRANGE = 0.6, 0.4  # share of phrases that hold unknown words, and of the words in them
SHAPE_NAMES: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "sphere", "orb"),
    "cube": ("cube", "box", "block", "dice"),
    "cylinder": ("cylinder", "can", "tube", "drum"),
    "cone": ("cone", "funnel"),
    "ring": ("ring", "donut", "torus", "hoop"),
    "pyramid": ("pyramid", "tent"),
}
COLOR_NAMES: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "yellow": ("yellow", "golden"),
    "orange": ("orange", "tangerine"),
    "purple": ("purple", "violet"),
}
NOTHING_NAMES = ("thing", "one", "object", "toy", "item")

# {c} stands for the colour, {s} for the shape (or for "thing" when only the colour is named).
TRAINING_FRAMES = (
    "{c} {s}",
    "the {c} {s}",
    "a {c} {s}",
    "find the {c} {s}",
    "where is the {c} {s}",
    "where is the {c} {s} ?",
    "point at the {c} {s}",
    "look at the {c} {s}",
    "look for a {c} {s}",
    "show me the {c} {s}",
    "go to the {c} {s} please",
    "please find the {c} {s}",
    "can you see the {c} {s} ?",
    "i want the {c} {s}",
    "i need a {s} that is {c}",
    "the {s} that is {c}",
    "the {s} in {c}",
    "pick up the {c} {s}",
    "grab the {s} , the {c} one",
    "that {c} {s} over there",
    "is there a {c} {s} here ?",
    "bring me the {s} which is {c}",
    "{s} , {c}",
    "track the {c} {s} on the table",
    "watch this {c} {s} .",
    "now the {s} painted {c} .",
    "robot , touch the {c} {s} !",
    "do you see any {c} {s} ?",
    "the small {c} {s}",
    "my {c} {s} , please",
)
HELD_OUT_FRAMES = (
    "could you locate the {c} {s} for me ?",
    "the {c} colored {s}",
    "aim at a {s} of {c} color",
    "fetch that {s} , it is {c}",
    "hey , where did the {c} {s} go ?",
    "i am looking for the {c} {s}",
    "the {s} with the {c} paint",
    "next target : {c} {s}",
    "show where the {s} is , the {c} one",
    "get the {c} {s} now",
)
# With no colour named, these alone read well.
BARE_FRAMES: dict[bool, tuple[str, ...]] = {
    False: (
        "the {s}",
        "a {s}",
        "find the {s}",
        "where is the {s} ?",
        "show me the {s}",
        "look for a {s}",
        "pick up the {s} please",
    ),
    True: ("could you locate the {s} for me ?", "get the {s} now", "i am looking for the {s}"),
}


def phrase(rng: np.random.Generator, color: str | None, shape: str | None, *, held_out: bool) -> str:
    """One wording that names a body by colour, shape or both."""
    if color is None and shape is None:
        raise ValueError("a phrase names a colour, a shape or both; both are None")
    full: tuple[str, ...] = HELD_OUT_FRAMES if held_out else TRAINING_FRAMES
    frames = full if color is not None else BARE_FRAMES[held_out]
    frame = frames[rng.integers(len(frames))]
    names = SHAPE_NAMES[shape] if shape is not None else NOTHING_NAMES
    noun = names[0] if rng.random() < 0.5 else names[rng.integers(len(names))]
    hues = COLOR_NAMES[color] if color is not None else ("",)
    hue = hues[0] if rng.random() < 0.6 else hues[rng.integers(len(hues))]
    return frame.format(c=hue, s=noun)


@lru_cache
def vocabulary() -> dict[str, int]:
    """Every word of the training phrases; other words of held-out wordings become the unknown token."""
    words = {"[PAD]": PAD, "[UNK]": UNKNOWN}
    named = [name for names in (*SHAPE_NAMES.values(), *COLOR_NAMES.values(), NOTHING_NAMES) for name in names]
    framed = " ".join([*TRAINING_FRAMES, *BARE_FRAMES[False]]).replace("{c}", "").replace("{s}", "").split()
    for word in [*named, *sorted(set(framed))]:
        words.setdefault(word, len(words))
    return words


@lru_cache
def tokenizer_json() -> bytes:
    """The tokenizer as a file of the `tokenizers` library: lower case, words and punctuation, padded to TEXT_LENGTH."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(vocabulary(), unk_token="[UNK]"))  # noqa: S106  # the name of a token
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(TEXT_LENGTH)
    tokenizer.enable_padding(length=TEXT_LENGTH, pad_id=PAD, pad_token="[PAD]")  # noqa: S106  # the name of a token
    return json.dumps(json.loads(tokenizer.to_str()), indent=1, sort_keys=True).encode() + b"\n"


def tokens(text: str) -> Ints:
    """The ids of a text: [TEXT_LENGTH]."""
    return np.array(_tokenizer().encode(text).ids, np.int64)


@lru_cache
def _tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(tokenizer_json().decode())


@lru_cache
def wordings(split: Split, many: int = 96) -> Ints:
    """Token ids of `many` wordings of everything that can be named: [7 colours, 7 shapes, many, TEXT_LENGTH].

    The last colour and the last shape mean "any"; where both are "any" the ids are zero. In training and tuning some
    words around the names are replaced by the unknown token, as real users write words outside the vocabulary.
    """
    held_out = split == "held-out"
    rng = np.random.default_rng((19, SPLIT_NUMBER[split]))
    table = np.zeros((len(COLORS) + 1, len(SHAPES) + 1, many, TEXT_LENGTH), np.int64)
    for i, color in enumerate((*COLORS, None)):
        for k, shape in enumerate((*SHAPES, None)):
            if color is None and shape is None:
                continue
            said = [phrase(rng, color, shape, held_out=held_out) for _ in range(many)]
            table[i, k] = [tokens(text if held_out else _with_unknown_words(rng, text)) for text in said]
    return table


def _with_unknown_words(rng: np.random.Generator, text: str) -> str:
    """Replaces some words that name nothing by the unknown token, and puts some unknown tokens in front."""
    unknown = STRANGE if rng.random() < STRANGE_PHRASES else 0.0
    words = [word if word in _named() or rng.random() >= unknown else "?!" for word in text.split()]
    return " ".join([*["?!"] * int(rng.integers(4) if unknown else 0), *words])


@lru_cache
def _named() -> frozenset[str]:
    names = (*SHAPE_NAMES.values(), *COLOR_NAMES.values(), NOTHING_NAMES)
    return frozenset(word for some in names for word in some)
