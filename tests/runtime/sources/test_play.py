"""The play clock: order, pace, pause and step, on a manual clock."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import ManualPlayClock

from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S
from mm_edge.runtime.sources import play as play_module
from mm_edge.runtime.sources.play import PlayClock


def test_captures_arrive_on_time_and_report_the_lag():
    play = ManualPlayClock(start_ns=100 * NS_PER_S)
    seat = play.seat()
    play.open(seat)
    assert [play.wait(seat, ms * NS_PER_MS) for ms in (0, 40, 80)] == [0, 0, 0]
    assert play.stamp_ns(80 * NS_PER_MS) == 100 * NS_PER_S + 80 * NS_PER_MS
    play._clock.advance(500 * NS_PER_MS)  # the reader was held up
    assert play.wait(seat, 120 * NS_PER_MS) == 460 * NS_PER_MS


def test_at_full_speed_nobody_waits_for_the_clock():
    play = ManualPlayClock("max")
    seat = play.seat()
    play.open(seat)
    assert play.wait(seat, 3600 * NS_PER_S) == -3600 * NS_PER_S
    assert play.position_ns == 3600 * NS_PER_S


def test_a_stream_that_was_left_returns_at_once():
    play = ManualPlayClock()
    seat, other = play.seat(), play.seat()
    play.open(seat)
    play.open(other)
    play.leave(seat)
    assert play.wait(seat, 5) is None
    assert play.wait(other, NS_PER_S) == 0


def test_streams_that_were_all_left_on_their_way_wait_for_nothing():
    play = ManualPlayClock()
    seats = [play.seat(), play.seat()]
    for seat in seats:
        play.open(seat)
    for seat in seats:
        play.leave(seat)
    assert [play.wait(seat, NS_PER_S) for seat in seats] == [None, None]


def test_played_again_it_begins_again():
    play = ManualPlayClock(start_ns=0)
    seat = play.seat()
    for start_s in (0, 2):
        play.open(seat)
        assert play.wait(seat, 2 * NS_PER_S) == 0
        assert play.stamp_ns(0) == start_s * NS_PER_S
        play.leave(seat)
        play.leave(seat)  # at its end, and once more when it is closed


def run_streams(play, streams):
    """Plays lists of media times in threads; returns the captures in order."""
    seats = [play.seat(leads=leads) for leads, _ in streams]
    order, lock = [], threading.Lock()

    def work(number, seat, times):
        play.open(seat)
        for due_ns in times:
            if play.wait(seat, due_ns) is None:
                break
            with lock:
                order.append((due_ns, streams[number][0], number))
        play.leave(seat)

    threads = [
        threading.Thread(target=work, args=(number, seat, times))
        for number, (seat, (_, times)) in enumerate(zip(seats, streams, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return order


@pytest.mark.parametrize("speed", ["max", "real"])
@given(times=st.lists(st.lists(st.integers(0, 20), max_size=15, unique=True).map(sorted), min_size=1, max_size=4))
def test_captures_are_ordered_by_time_regardless_of_threads(speed, times):
    streams = [(number == 0, stream) for number, stream in enumerate(times)]
    order = run_streams(PlayClock(speed), streams)
    assert sorted(order) == sorted(
        (due, leads, number) for number, (leads, stream) in enumerate(streams) for due in stream
    )
    assert [entry[:2] for entry in order] == sorted(entry[:2] for entry in order)  # the leader last at equal times


def test_while_paused_time_stands_and_a_step_advances_to_the_next_image():
    play = PlayClock("real")
    pictures, sound = play.seat(leads=True), play.seat()
    out, came = [], threading.Semaphore(0)

    def work(name, seat, times):
        play.open(seat)
        for due_ns in times:
            if play.wait(seat, due_ns) is None:
                break
            out.append((name, due_ns))
            came.release()
        play.leave(seat)

    play.pause()
    hour = 3600 * NS_PER_S
    threads = [
        threading.Thread(target=work, args=("picture", pictures, [0, 2 * hour, 4 * hour])),
        threading.Thread(target=work, args=("sound", sound, [hour, 3 * hour, 5 * hour])),
    ]
    for thread in threads:
        thread.start()
    assert came.acquire(timeout=10)
    assert out == [("picture", 0)]
    play.step()
    for _ in range(2):
        assert came.acquire(timeout=10)
    assert out[1:] == [("sound", hour), ("picture", 2 * hour)]
    assert play.position_ns == 2 * hour
    play.leave(pictures)
    play.step()  # no pictures any more: on to the next sound
    assert came.acquire(timeout=10)
    assert out[3:] == [("sound", 3 * hour)]
    play.leave(sound)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_it_resumes_where_it_was_paused():
    play = ManualPlayClock(start_ns=0)
    seat = play.seat()
    play.open(seat)
    play.wait(seat, NS_PER_S)
    play.pause()
    play._clock.advance(10 * NS_PER_S)
    assert play.position_ns == NS_PER_S
    play.resume()
    assert play.wait(seat, 2 * NS_PER_S) == 10 * NS_PER_S  # real time is ten seconds past it
    assert play.position_ns == 2 * NS_PER_S


def test_a_blocked_stream_is_overtaken_and_considered_again_when_it_returns(monkeypatch, caplog):
    monkeypatch.setattr(play_module, "PATIENCE_S", 0.0)
    play = ManualPlayClock("max")
    stuck, other = play.seat(), play.seat()
    play.open(stuck)
    play.open(other)
    assert stuck.state == "busy"  # and stays so
    with caplog.at_level("WARNING", "mm_edge"):
        assert play.wait(other, 7) is not None
    assert "has been blocked" in caplog.text
    assert play.wait(stuck, 9) is not None
