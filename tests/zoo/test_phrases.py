"""Phrases: every wording names what it asks for, in words that the vocabulary has."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.phrases import (
    COLOR_NAMES,
    HELD_OUT_FRAMES,
    NOTHING_NAMES,
    SHAPE_NAMES,
    TEXT_LENGTH,
    TRAINING_FRAMES,
    UNKNOWN,
    phrase,
    tokenizer_json,
    tokens,
    vocabulary,
    wordings,
)
from mm_edge.zoo.worlds.tabletop.scene import COLORS


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("color", [*COLORS, None])
@pytest.mark.parametrize("shape", [*SHAPES, None])
def test_a_phrase_names_what_it_asks_for_and_nothing_else(color, shape, held_out):
    if color is None and shape is None:
        with pytest.raises(ValueError, match="both are None"):
            phrase(np.random.default_rng(0), color, shape, held_out=held_out)
        return
    for seed in range(12):
        said = phrase(np.random.default_rng(seed), color, shape, held_out=held_out)
        words = set(said.replace("can you", "").split())  # there it is the verb
        for name, names in COLOR_NAMES.items():
            assert bool(words & set(names)) == (name == color)
        for name, names in SHAPE_NAMES.items():
            assert bool(words & set(names)) == (name == shape)


def test_no_name_stands_for_two_things():
    names = [name for group in (*SHAPE_NAMES.values(), *COLOR_NAMES.values(), NOTHING_NAMES) for name in group]
    assert len(names) == len(set(names))


def test_no_wording_is_in_both_splits_and_unknown_words_are_in_each():
    assert (wordings("train") == UNKNOWN).any()
    assert (wordings("held-out") == UNKNOWN).any()
    assert not set(TRAINING_FRAMES) & set(HELD_OUT_FRAMES)


def test_names_stay_known_however_strange_the_words_around_them():
    colors = [{vocabulary()[name] for name in names} for names in COLOR_NAMES.values()]
    shapes = [{vocabulary()[name] for name in names} for names in SHAPE_NAMES.values()]
    table = wordings("train")
    for i, names in enumerate(colors):
        assert all(names & set(ids) for ids in table[i].reshape(-1, TEXT_LENGTH).tolist())
    for k, names in enumerate(shapes):
        assert all(names & set(ids) for ids in table[:, k].reshape(-1, TEXT_LENGTH).tolist())


def test_the_tokenizer_file_is_what_the_zoo_uses():
    tokenizer = Tokenizer.from_str(tokenizer_json().decode())
    encoded = tokenizer.encode("The RED cube, please!")
    assert encoded.ids == tokens("the red cube , please !").tolist()
    assert len(encoded.ids) == TEXT_LENGTH
    assert tokenizer.get_vocab() == vocabulary()
    assert len(tokenizer.encode("red " * 40).ids) == TEXT_LENGTH
