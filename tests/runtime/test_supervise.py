"""A source's states: told once each, from its own thread or by the watch when its read blocks."""

import threading

import pytest
from sources import END, Script, picture

from mm_edge.errors import DeviceError, SourceLostError
from mm_edge.runtime.channel import SampleChannel
from mm_edge.runtime.clock import NS_PER_MS, ManualClock
from mm_edge.runtime.session.source_keeper import LONGEST_RETRY_S, SourceKeeper

PERIOD_NS = 40 * NS_PER_MS


class Kept:
    """A keeper on a manual clock, with the states that it told."""

    def __init__(self, source):
        self.clock, self.told, self.go = ManualClock(), [], threading.Event()
        self.channel = SampleChannel(100, "drop_oldest")
        self.keeper = SourceKeeper(
            source, self.channel, self.clock, lambda name, state, detail: self.told.append(state), go=self.go
        )

    def run(self):
        self.keeper.start()
        self.go.set()
        return self

    def until_captured(self, count):
        with self.channel.lock:
            assert self.channel.bell.wait_for(lambda: self.channel.given >= count, 10)

    def stop(self):
        self.keeper.stop()
        self.go.set()
        self.keeper.join(10)
        assert not self.keeper.is_alive()


def test_silence_for_three_periods_is_told_as_stale_and_healed_by_a_capture():
    source = Script("image", live=True, period_ns=PERIOD_NS)
    kept = Kept(source).run()
    source.items.put(picture(1, 0))
    kept.until_captured(1)
    kept.keeper.check(kept.clock.now_ns() + 3 * PERIOD_NS)
    assert kept.told == ["live"]
    kept.keeper.check(kept.clock.now_ns() + 3 * PERIOD_NS + 301 * NS_PER_MS)
    kept.keeper.check(kept.clock.now_ns() + 20 * PERIOD_NS)
    assert kept.told == ["live", "stale"]
    source.items.put(picture(2, 0))
    kept.until_captured(2)
    assert kept.told == ["live", "stale", "live"]
    kept.stop()


def test_a_source_that_gives_now_and_then_is_never_stale():
    source = Script("text", live=True)
    kept = Kept(source).run()
    source.items.put(picture(1, 0))
    kept.until_captured(1)
    kept.keeper.check(10**15)
    assert kept.told == ["live"]
    kept.stop()


def test_a_slower_source_than_it_says_is_learned_and_not_called_stale():
    source = Script("image", live=True, period_ns=PERIOD_NS)
    kept = Kept(source).run()
    for count in range(1, 60):
        source.items.put(picture(count, 0))
        kept.until_captured(count)
        kept.clock.advance(2 * PERIOD_NS)
    kept.keeper.check(kept.clock.now_ns() + 4 * PERIOD_NS)
    assert kept.told == ["live"]
    kept.stop()


def test_a_lost_source_is_closed_and_opened_again_until_it_is_back(monkeypatch):
    monkeypatch.setattr("mm_edge.runtime.session.source_keeper.FIRST_RETRY_S", 0.001)
    source = Script("image", [picture(1, 0), SourceLostError("gone"), picture(2, 0)], live=True, fail_to_open=3)
    kept = Kept(source).run()
    kept.until_captured(2)
    assert kept.told == ["live", "lost", "reconnecting", "live"]
    assert source.opened == 5
    kept.stop()
    assert source.closed == source.opened


def test_waits_between_tries_double_up_to_a_bound():
    source = Script("image", live=True)
    kept = Kept(source)
    waits = []

    def note(seconds):
        waits.append(seconds)
        return len(waits) > 9

    source.opened, source.fail_to_open = 1, 100
    kept.keeper._stopping.wait = note
    kept.keeper._reopen(0.1)
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == LONGEST_RETRY_S


def test_a_file_that_breaks_off_ends():
    kept = Kept(Script("image", [picture(1, 0), SourceLostError("cut off")])).run()
    kept.keeper.join(10)
    assert kept.told == ["live", "lost"]
    assert kept.channel.closed


def test_a_source_that_is_not_there_is_told_before_anything_runs():
    class Absent(Script):
        def open(self):
            raise DeviceError("no such camera")

    kept = Kept(Absent("image", live=True))
    kept.keeper.start()
    assert kept.keeper.tried_to_open.wait(10)
    assert isinstance(kept.keeper.first_error, DeviceError)
    kept.stop()


def test_an_unknown_fault_of_a_driver_is_told_and_logged(caplog):
    kept = Kept(Script("image", [ZeroDivisionError("a fault")], live=True)).run()
    kept.keeper.join(10)
    assert kept.told == ["lost"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("ready", [True, False])
def test_what_is_ready_is_read_before_the_run_begins(ready):
    kept = Kept(Script("text", [picture(1, 0), END], live=True, ready=ready))
    kept.keeper.start()
    assert kept.keeper.tried_to_open.wait(10)
    assert kept.channel.given == ready
    kept.stop()
