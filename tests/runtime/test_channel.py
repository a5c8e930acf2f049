"""Channels: bounded, honest about every loss, and never in the way of the newest."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from mm_edge.runtime.channel import FOREVER_NS, Channel, SampleChannel
from mm_edge.sample import Sample


def sample(seq, t_ns):
    return Sample("audio", seq, t_ns, None)


def test_the_newest_gets_in_and_the_oldest_is_counted():
    channel = Channel(2, "drop_oldest")
    for item in range(5):
        assert channel.put(item)
    assert [channel.wait_take(), channel.wait_take()] == [3, 4]
    assert (channel.given, channel.dropped["overrun"]) == (5, 3)


@given(st.lists(st.sampled_from(["put", "take"]), max_size=60), st.integers(1, 5))
def test_what_was_given_was_taken_or_dropped_or_is_still_there(actions, capacity):
    channel, taken = Channel(capacity, "drop_oldest"), 0
    for number, action in enumerate(actions):
        if action == "put":
            channel.put(number)
        else:
            with channel.lock:
                taken += channel.take() is not None
        assert len(channel.items) <= capacity
        assert channel.given == taken + channel.dropped["overrun"] + len(channel.items)


def test_a_giver_that_must_lose_nothing_waits_for_room():
    channel, order = Channel(1, "wait"), []

    def give():
        for item in range(20):
            channel.put(item)
        channel.close()

    giver = threading.Thread(target=give)
    giver.start()
    while (item := channel.wait_take()) is not None:
        order.append(item)
    giver.join()
    assert order == list(range(20))
    assert not channel.dropped


def test_closing_frees_a_giver_and_a_taker():
    full, empty, results = Channel(1, "wait"), Channel(1, "wait"), []
    full.put(1)
    threads = [
        threading.Thread(target=lambda: results.append(full.put(2))),
        threading.Thread(target=lambda: results.append(empty.wait_take())),
    ]
    for thread in threads:
        thread.start()
    full.close()
    empty.close()
    for thread in threads:
        thread.join(5)
    assert sorted(results, key=str) == [False, None]
    assert full.given == 1


def test_a_closed_channel_still_gives_what_it_holds():
    channel = Channel(3, "drop_oldest")
    channel.put("last")
    channel.close()
    assert channel.wait_take() == "last"
    assert channel.wait_take() is None


def test_settle_gives_the_newest_within_the_limit_and_lets_older_ones_go():
    channel = SampleChannel(8, "drop_oldest")
    for seq, t_ns in enumerate([10, 20, 30, 40]):
        channel.put(sample(seq, t_ns))
    assert channel.newest_until(5) is None
    assert channel.newest_until(30).seq == 2
    assert channel.dropped["superseded"] == 2
    assert channel.newest_until(35).seq == 2
    assert channel.newest_until(99).seq == 3
    assert channel.dropped["superseded"] == 2


def test_the_watermark_says_that_nothing_older_will_come():
    channel = SampleChannel(8, "wait")
    channel.put(sample(0, 10))
    assert channel.watermark_ns == 10
    channel.close()
    assert channel.watermark_ns == FOREVER_NS
