"""The start without the garbage collector: off while it lasts, as it was afterwards, what is made then set aside."""

import gc

import pytest

from mm_edge.cli.gc_paused import gc_paused


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    gc.unfreeze()
    gc.enable()


def test_it_is_off_while_it_lasts_and_what_was_made_is_set_aside():
    before = gc.get_freeze_count()
    with gc_paused():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_it_is_on_again_after_an_error():
    with pytest.raises(OSError, match="broken"), gc_paused():
        raise OSError("broken")
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off():
    gc.disable()
    with gc_paused():
        pass
    assert not gc.isenabled()
