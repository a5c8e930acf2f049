"""The timing loop, on a clock that moves when it is told to."""

import itertools

import pytest

from mm_edge.benchmarks.bench.measure import calls_a_reading, in_turns, overhead_ns, timed, warm

US = 1_000


class Work:
    """Takes so long on the clock that it moves itself; what it takes may change from call to call."""

    def __init__(self, *us):
        self.now_ns, self._us, self.calls = 0, itertools.cycle(us), 0

    def __call__(self):
        self.now_ns += next(self._us) * US
        self.calls += 1

    def tick(self):
        return self.now_ns


def test_each_call_is_timed_for_as_long_as_was_asked():
    work = Work(100)
    taken = timed(work, 0.001, tick=work.tick)
    assert taken == [0.1] * 10
    assert len(timed(work, 0.0, least=7, tick=work.tick)) == 7


def test_short_calls_are_read_off_together():
    work = Work(2)
    assert calls_a_reading(work, tick=work.tick) == 100
    assert timed(work, 0.0, tick=work.tick, calls=25) == [0.002]


def test_warm_waits_until_it_does_not_get_quicker():
    work = Work(*[1000 - 10 * k for k in range(90)], *[100] * 1000)
    assert warm(work, tick=work.tick)
    assert work.calls > 85
    restless = Work(*[100_000 - 900 * k for k in range(100)])
    assert not warm(restless, most_s=0.5, tick=restless.tick)


def test_variants_take_turns_in_both_orders():
    order = []
    work = Work(1000)

    def variant(name):
        def run():
            order.append(name)
            work()

        return run

    taken = in_turns({"a": variant("a"), "b": variant("b")}, 0.008, slice_s=0.001, tick=work.tick)
    assert [key for key, _ in itertools.groupby(order)] == ["a", "b", "a"]
    assert len(taken["a"]) == len(taken["b"]) == 2
    assert all(len(turn) == 2 for turn in taken["a"])


def test_the_harness_measures_itself():
    assert 0 < overhead_ns(readings=100) < 1e6
    assert overhead_ns(calls=50, readings=100) == pytest.approx(overhead_ns(calls=50, readings=100), rel=50)
