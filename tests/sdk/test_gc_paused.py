"""Startup with the garbage collector paused: disabled meanwhile, restored afterwards, objects frozen."""

import gc

import pytest

from mm_edge.cli.gc_paused import gc_paused


@pytest.fixture(autouse=True)
def enabled_afterwards():
    gc.collect()  # what is garbage by now would be frozen, too
    yield
    gc.enable()


def test_it_is_disabled_meanwhile_and_new_objects_are_frozen():
    before = gc.get_freeze_count()
    with gc_paused():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_it_is_enabled_again_after_an_error():
    with pytest.raises(OSError, match="broken"), gc_paused():
        raise OSError("broken")
    assert gc.isenabled()


def test_a_disabled_collector_stays_disabled():
    gc.disable()
    with gc_paused():
        pass
    assert not gc.isenabled()
