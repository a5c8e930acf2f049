"""The pool of frames: never one that somebody holds, never more than it may."""

import gc
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mm_edge.runtime.sources.camera.frames import FramePool


@given(st.lists(st.one_of(st.just("take"), st.integers(0, 7)), max_size=60), st.integers(1, 5))
def test_a_frame_that_somebody_holds_is_never_given_again(actions, most):
    pool, held, taken = FramePool(2, 2, most), [], 0
    for action in actions:
        if action == "take":
            frame = pool.take()
            taken += 1
            frame[:] = taken % 251
            held.append((taken % 251, frame))
            del frame
        elif held:
            held.pop(action % len(held))
        assert len(pool) <= most
        assert all((frame == number).all() for number, frame in held)
    assert pool.outside <= taken


def test_a_view_keeps_its_frame():
    pool = FramePool(4, 4, most=1)
    part = pool.take()[1:3]
    other = pool.take()
    assert not np.shares_memory(part, other)
    assert pool.figures() == {"frames": 1, "frames_outside_pool": 1}


def test_frames_that_are_let_go_come_again_and_nothing_grows():
    pool = FramePool(4, 4)
    places = set()
    for _ in range(50):
        frame = pool.take()
        places.add(frame.ctypes.data)
        del frame
    assert len(places) == len(pool) == 1


def test_a_new_size_leaves_the_frames_in_use_alone():
    pool = FramePool(4, 4)
    before = pool.take()
    before[:] = 9
    pool.reshape(2, 2)
    assert pool.take().shape == (2, 2, 3)
    gc.collect()
    assert (before == 9).all()
    assert sys.getrefcount(before) <= 2
