"""Audio, text, vectors and video: the contents of the model's tensors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mm_edge.errors import BundleError, InputError
from mm_edge.runtime.prepare import preparer, prompts_of
from mm_edge.runtime.sound import OverrunError, SoundBlock, SoundRing
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    TextInput,
    TextPrepare,
    VectorInput,
    VectorPrepare,
    VideoInput,
    VideoPrepare,
)


def nothing(_):
    raise AssertionError("no file is needed")


def words():
    tokenizer = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 1, "red": 2, "ball": 3, "blue": 4}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_padding(length=3)  # what the file says must not count
    return tokenizer.to_str().encode()


def text_preparer(**settings):
    return preparer(TextInput("text", TextPrepare("t.json", **settings)), {"t.json": words()}.__getitem__)


# --- sound


@given(st.integers(1, 300), st.integers(1, 60))
def test_the_window_ends_where_the_block_ends_and_begins_with_silence(written, window):
    ring, sound = SoundRing(100), np.arange(1, written + 1, dtype=np.float32)
    ring.write(sound)
    prepare = preparer(AudioInput("audio", AudioPrepare(16000, window, 10)), nothing)
    array = np.full((1, window), np.nan, np.float32)
    prepare.write(SoundBlock(ring, written, 1), {"": array})
    np.testing.assert_array_equal(array[0], np.concatenate((np.zeros(window, np.float32), sound))[-window:])


def test_overwritten_audio_is_reported():
    ring = SoundRing(100)
    ring.write(np.ones(150, np.float32))
    prepare = preparer(AudioInput("audio", AudioPrepare(16000, 80, 10)), nothing)
    with pytest.raises(OverrunError, match="ends at sample 120"):
        prepare.write(SoundBlock(ring, 120, 10), {"": np.empty((1, 80), np.float32)})


def test_audio_overwritten_while_it_was_copied_is_reported():
    class Overtaking(SoundRing):
        def window(self, end, length):
            view = super().window(end, length).copy()
            self.write(np.ones(60, np.float32))
            return view

    ring = Overtaking(100)
    ring.write(np.ones(100, np.float32))
    prepare = preparer(AudioInput("audio", AudioPrepare(16000, 80, 10)), nothing)
    with pytest.raises(OverrunError):
        prepare.write(SoundBlock(ring, 100, 10), {"": np.empty((1, 80), np.float32)})


def test_a_window_longer_than_the_ring_and_what_is_no_sound_are_refused():
    prepare = preparer(AudioInput("audio", AudioPrepare(16000, 80, 10)), nothing)
    with pytest.raises(InputError, match="ring buffer of 40 samples"):
        prepare.write(SoundBlock(SoundRing(40), 0, 0), {"": np.empty((1, 80), np.float32)})
    with pytest.raises(InputError, match="SoundBlock"):
        prepare.write(np.zeros(80, np.float32), {"": np.empty((1, 80), np.float32)})


# --- text


def test_a_short_text_is_padded_and_masked_and_a_long_one_cut():
    prepare = text_preparer(length=4, mask=True, lowercase=True)
    assert list(prepare.fields) == ["", "mask"]
    arrays = {field: np.full((1, 4), -1, np.int64) for field in prepare.fields}
    prepare.write("The RED ball", arrays)
    assert arrays[""].tolist() == [[1, 2, 3, 0]]
    assert arrays["mask"].tolist() == [[1, 1, 1, 0]]
    prepare.write("red red red red ball", arrays)
    assert arrays[""].tolist() == [[2, 2, 2, 2]]
    assert arrays["mask"].tolist() == [[1, 1, 1, 1]]


def test_prompts_are_rows_and_their_number_is_the_arrays():
    prepare = text_preparer(length=2, prompts=8, pad_id=9)
    ids = np.zeros((2, 2), np.int64)
    prepare.write(" red | blue ball |", {"": ids})
    assert ids.tolist() == [[2, 9], [4, 3]]
    with pytest.raises(InputError, match=r"got 3 in .red\|blue\|ball."):
        prepare.write("red|blue|ball", {"": ids})


def test_a_text_with_a_bar_in_it_is_one_text_where_the_input_takes_one():
    ids = np.zeros((1, 3), np.int64)
    text_preparer(length=3).write("red|ball", {"": ids})
    assert ids.tolist() == [[2, 1, 3]]


def test_prompts_of_a_text():
    assert prompts_of("a| b |c") == ["a", "b", "c"]
    assert prompts_of("") == [""]
    assert prompts_of(" | ") == [""]


def test_a_broken_tokenizer_is_the_bundles_fault():
    with pytest.raises(BundleError, match=r"tokenizer t\.json of input .text."):
        preparer(TextInput("text", TextPrepare("t.json", 4)), lambda _: b"{}")


def test_what_is_no_text_is_refused():
    with pytest.raises(InputError, match="a str"):
        text_preparer(length=4).write(7, {"": np.zeros((1, 4), np.int64)})


# --- numbers and films


def test_numbers_are_copied_and_their_count_is_checked():
    prepare, array = preparer(VectorInput("arm", VectorPrepare(3)), nothing), np.zeros((1, 3), np.float32)
    prepare.write(np.array([1, 2, 3.5], np.float32), {"": array})
    assert array.tolist() == [[1, 2, 3.5]]
    with pytest.raises(InputError, match=r"float32 \[3\]"):
        prepare.write(np.zeros(4, np.float32), {"": array})
    with pytest.raises(InputError, match=r"float32 \[3\]"):
        prepare.write(["a", "b", "c"], {"": array})


@given(st.integers(1, 40), st.integers(2, 5), st.integers(1, 4))
def test_a_film_is_the_last_pictures_oldest_first(shown, frames, stride):
    prepare = preparer(VideoInput("film", VideoPrepare((2, 2), frames, stride)), nothing)
    array = np.zeros((1, frames, 2, 2, 3), np.uint8)
    for number in range(shown):
        prepare.write(np.full((4, 4, 3), number, np.uint8), {"": array})
    wanted = [max(0, shown - 1 - (frames - 1 - place) * stride) for place in range(frames)]
    assert array[0, :, 0, 0, 0].tolist() == wanted
