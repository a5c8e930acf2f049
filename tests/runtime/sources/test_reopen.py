"""A repeated take: its streams start each round together, and stop on interrupt."""

import threading

from mm_edge.runtime.sources.play import PlayClock
from mm_edge.runtime.sources.played_list import PlayedList
from mm_edge.runtime.sources.reopen import reopen


def streams(play):
    short = PlayedList("text", "text", "short", lambda: [(0, "a"), (10, "b")], play)
    long = PlayedList("sensor", "sensor", "long", lambda: [(5, 1), (15, 2), (25, 3)], play)
    return reopen([short, long])


def read_until(source, count, into):
    source.open()
    while len(into) < count and (capture := source.read()) is not None:
        into.append((capture.t_ns, capture.payload))
    source.close()


def test_every_round_holds_the_whole_take_with_stamps_that_go_on():
    sources, read = streams(PlayClock("max")), [[], []]
    threads = [
        threading.Thread(target=read_until, args=(source, count, into))
        for source, count, into in zip(sources, (6, 9), read, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    texts, numbers = read
    assert [payload for _, payload in texts] == ["a", "b"] * 3
    assert [payload for _, payload in numbers] == [1, 2, 3] * 3
    stamps = [t_ns for t_ns, _ in numbers]
    assert stamps == sorted(set(stamps))
    starts = [t_ns for t_ns, payload in texts if payload == "a"]
    assert [t_ns - 5 for t_ns, payload in numbers if payload == 1] == starts


def test_a_stream_that_waits_for_the_others_can_be_interrupted():
    alone = PlayedList("text", "text", "alone", lambda: [(0, "a")], PlayClock("max"))
    never = PlayedList("sensor", "sensor", "never read", list, PlayClock("max"))
    source, _ = reopen([alone, never])
    read = []
    thread = threading.Thread(target=read_until, args=(source, 100, read))
    thread.start()
    while not source._round_over.n_waiting:
        thread.join(0.001)
    source.interrupt()
    thread.join(20)
    assert not thread.is_alive()
    assert [payload for _, payload in read] == ["a"]
