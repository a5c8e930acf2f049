"""The ring of sound, against a plain array of all that was ever written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_edge.errors import InputError
from mm_edge.runtime.sound import SoundRing, sound_block


@given(st.integers(1, 40), st.lists(st.integers(0, 100), max_size=20), st.data())
def test_every_window_is_what_was_written_before_its_end(capacity, lengths, data):
    ring, total = SoundRing(capacity), sum(lengths)
    everything = np.arange(1, total + 1, dtype=np.float32)
    for end, length in zip(np.cumsum(lengths, dtype=int), lengths, strict=True):
        ring.write(everything[end - length : end])
    assert ring.written == total
    length = data.draw(st.integers(0, capacity))
    end = data.draw(st.integers(max(0, total - (capacity - length)), total))
    assert ring.holds(end, length)
    before = np.concatenate((np.zeros(capacity, np.float32), everything))  # silence
    np.testing.assert_array_equal(ring.window(end, length), before[capacity + end - length : capacity + end])
    assert ring.window(end, length).base is not None  # a view


def test_what_is_gone_or_still_to_come_is_not_held():
    ring = SoundRing(10)
    ring.write(np.ones(25, np.float32))
    assert ring.holds(25, 10)
    assert not ring.holds(24, 10)
    assert not ring.holds(26, 1)


def test_a_window_that_is_being_overwritten_is_not_held():
    """The writer has begun to overwrite: a reader that asks now must hear that its copy may be torn."""
    ring, heard = SoundRing(10), []
    ring.write(np.ones(10, np.float32))

    class Spy:
        """Asks in the middle of the write."""

        def __len__(self):
            return 4

        def __getitem__(self, _):
            heard.append(ring.holds(10, 10))
            return np.zeros(4, np.float32)

    ring.write(Spy())
    assert heard == [False]


@given(st.integers(1, 50), st.integers(1, 80))
def test_sound_of_any_length_becomes_one_window(window, length):
    samples = np.arange(1, length + 1, dtype=np.float64)
    block = sound_block(samples, window)
    heard = block.ring.window(block.end, window)
    assert block.count == min(window, length)
    np.testing.assert_array_equal(heard[window - block.count :], samples[length - block.count :])
    assert not heard[: window - block.count].any()


@pytest.mark.parametrize("samples", [np.zeros((2, 8)), np.zeros(8, np.int16), np.zeros(0)])
def test_what_is_no_mono_sound_is_refused(samples):
    with pytest.raises(InputError, match="mono float samples"):
        sound_block(samples, 8)
