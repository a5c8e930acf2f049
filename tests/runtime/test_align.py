"""The aligner: exactly the tick of the contract, on stamps alone."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mm_edge.runtime.channel import SampleChannel
from mm_edge.runtime.clock import NS_PER_MS, ManualClock
from mm_edge.runtime.loop.align import Aligner, Over, Skip, Stop, Wait
from mm_edge.sample import Moment, Sample
from mm_edge.spec import InputSync

MS = NS_PER_MS


class Bench:
    """An aligner over an image that drives and a sound that follows, with a clock that moves when it is told to."""

    def __init__(self, rule=InputSync(), *, played=False, can_mask=True, absent=frozenset()):  # noqa: B008
        policy = "wait" if played else "drop_oldest"
        self.lock = threading.Lock()
        self.channels = {"image": SampleChannel(4, policy, self.lock)}
        if "audio" not in absent:
            self.channels["audio"] = SampleChannel(64, policy, self.lock)
        self.clock = ManualClock()
        self.aligner = Aligner(
            "image",
            {"audio": rule},
            self.channels,
            played=frozenset(self.channels) if played else frozenset(),
            absent=absent,
            can_mask=can_mask,
        )
        self.counts = {"image": 0, "audio": 0}

    def capture(self, name, t_ms, shift_ms=0):
        self.channels[name].put(Sample(name, self.counts[name], t_ms * MS, None, shift_ms * MS))
        self.counts[name] += 1

    def next(self, now_ms=0):
        with self.lock:
            return self.aligner.next(now_ms * MS)

    def audio(self, now_ms=0):
        moment = self.next(now_ms)
        assert isinstance(moment, Moment)
        reading = moment.readings["audio"]
        return reading.state, reading.sample and reading.sample.t_ns // MS


def test_nothing_happens_before_the_driver_captures():
    bench = Bench()
    bench.capture("audio", 1)
    assert bench.next() == Wait()


def test_the_newest_at_or_before_the_driver_is_taken():
    bench = Bench()
    for t_ms in (10, 20, 30):
        bench.capture("audio", t_ms)
    bench.capture("image", 20)
    assert bench.audio() == ("fresh", 20)


def test_what_was_used_before_is_held():
    bench = Bench()
    bench.capture("audio", 10)
    bench.capture("image", 20)
    assert bench.audio() == ("fresh", 10)
    bench.capture("image", 30)
    assert bench.audio() == ("held", 10)


def test_tolerance_admits_what_was_captured_a_little_later():
    bench = Bench(InputSync(tolerance_ms=5))
    bench.capture("audio", 25)
    bench.capture("image", 20)
    assert bench.audio() == ("fresh", 25)


def test_beyond_tolerance_the_future_is_not_used():
    bench = Bench(InputSync(tolerance_ms=5, missing="mask"))
    bench.capture("audio", 26)
    bench.capture("image", 20)
    assert bench.audio() == ("missing", None)
    bench.capture("image", 26)
    assert bench.audio() == ("fresh", 26)


@pytest.mark.parametrize(("missing", "expected"), [("mask", ("missing", None)), ("hold", ("held", 10))])
def test_too_old_is_masked_or_held(missing, expected):
    bench = Bench(InputSync(max_age_ms=50, missing=missing))
    bench.capture("audio", 10)
    bench.capture("image", 20)
    bench.audio()
    bench.capture("image", 61)
    assert bench.audio() == expected


def test_too_old_can_skip_the_tick_or_end_the_run():
    for missing, kind in (("skip", Skip), ("stop", Stop)):
        bench = Bench(InputSync(max_age_ms=50, missing=missing))
        bench.capture("image", 20)
        step = bench.next()
        assert isinstance(step, kind)
        assert (step.input, step.driver.t_ns) == ("audio", 20 * MS)


def test_hold_with_nothing_to_hold_masks_or_else_skips():
    bench = Bench(InputSync(missing="hold"))
    bench.capture("image", 20)
    assert bench.audio() == ("missing", None)
    bench = Bench(InputSync(missing="hold"), can_mask=False)
    bench.capture("image", 20)
    assert isinstance(bench.next(), Skip)


def test_an_input_without_a_source_is_missing_and_waited_for_by_nobody():
    bench = Bench(InputSync(missing="skip", wait_ms=1000), absent=frozenset({"audio"}))
    bench.capture("image", 20)
    assert bench.next().readings["audio"].state == "missing"


def test_it_waits_up_to_wait_ms_after_the_capture_as_it_happened():
    bench = Bench(InputSync(wait_ms=15, missing="mask"))
    bench.capture("image", 20, shift_ms=3)
    assert bench.next(25) == Wait(38 * MS)
    assert bench.next(37) == Wait(38 * MS)
    assert bench.audio(38) == ("missing", None)


def test_what_arrives_while_it_waits_is_taken():
    bench = Bench(InputSync(wait_ms=15, missing="mask"))
    bench.capture("image", 20)
    assert isinstance(bench.next(25), Wait)
    bench.capture("audio", 19)
    assert bench.audio(26) == ("fresh", 19)


def test_a_tick_that_waits_is_not_put_off_by_newer_captures():
    bench = Bench(InputSync(wait_ms=15, missing="mask"))
    bench.capture("image", 20)
    assert isinstance(bench.next(21), Wait)
    for t_ms in range(21, 34):
        bench.capture("image", t_ms)
        assert isinstance(bench.next(t_ms), Wait)
    moment = bench.next(35)
    assert moment.t_ns == 20 * MS


def test_played_inputs_are_waited_for_until_it_is_certain_what_belongs_to_the_tick():
    bench = Bench(InputSync(missing="mask"), played=True)
    bench.capture("audio", 10)
    bench.capture("image", 20)
    assert bench.next(10_000) == Wait()
    bench.capture("audio", 19)
    assert bench.next(10_000) == Wait()
    bench.capture("audio", 21)
    assert bench.audio() == ("fresh", 19)


def test_a_promise_that_nothing_older_will_come_ends_the_waiting():
    bench = Bench(InputSync(missing="mask"), played=True)
    bench.capture("audio", 10)
    bench.capture("image", 20)
    bench.channels["audio"].promised_ns = 19 * MS
    assert bench.next() == Wait()
    bench.channels["audio"].promised_ns = 20 * MS
    assert bench.audio() == ("fresh", 10)


def test_sound_counts_from_the_end_of_its_block():
    bench = Bench(InputSync(missing="mask"))
    bench.channels["audio"].put(Sample("audio", 0, 10 * MS, None, until_ns=110 * MS))
    bench.capture("image", 109)
    assert bench.audio() == ("missing", None)
    bench.capture("image", 110)
    assert bench.audio() == ("fresh", 10)


def test_a_played_input_that_has_ended_is_not_waited_for():
    bench = Bench(InputSync(), played=True)
    bench.capture("audio", 10)
    bench.channels["audio"].close()
    bench.capture("image", 20)
    assert bench.audio() == ("fresh", 10)


def test_it_is_over_when_the_driver_has_ended_and_is_used_up():
    bench = Bench()
    bench.capture("image", 20)
    bench.channels["image"].close()
    assert isinstance(bench.next(), Moment)
    assert bench.next() == Over()


stamps = st.lists(st.integers(0, 400), min_size=1, max_size=40, unique=True).map(sorted)
rules = st.builds(
    InputSync,
    max_age_ms=st.none() | st.integers(0, 100).map(float),
    tolerance_ms=st.integers(0, 30).map(float),
    missing=st.sampled_from(["hold", "mask", "skip"]),
    wait_ms=st.just(0.0),
)


def moments(images, sounds, rule, order):
    """Plays both streams into a played aligner, in the interleaving that `order` picks, and gives what it made."""
    bench, made = Bench(rule, played=True), []
    left = {"image": list(images), "audio": list(sounds)}
    order = iter(order)
    while left["image"] or left["audio"]:
        name = "image" if next(order, True) else "audio"
        full = len(bench.channels[name].items) >= bench.channels[name].capacity
        if not left[name] or full:
            name = "audio" if name == "image" else "image"
        bench.capture(name, left[name].pop(0))
        for ended in (name for name in left if not left[name]):
            bench.channels[ended].close()
        while isinstance(step := bench.next(), (Moment, Skip)):
            made.append(step)
    for channel in bench.channels.values():
        channel.close()
    while isinstance(step := bench.next(), (Moment, Skip)):
        made.append(step)
    return made


@settings(max_examples=150)
@given(stamps, stamps, rules, st.lists(st.booleans(), max_size=80))
def test_never_from_the_future_never_too_old_without_saying_so(images, sounds, rule, order):
    for step in moments(images, sounds, rule, order):
        if isinstance(step, Skip):
            continue
        reading = step.readings["audio"]
        if reading.sample is None:
            assert reading.state == "missing"
            continue
        ahead_ns = reading.sample.t_ns - step.t_ns
        assert ahead_ns <= rule.tolerance_ms * MS
        if rule.max_age_ms is not None and -ahead_ns > rule.max_age_ms * MS:
            assert (rule.missing, reading.state) == ("hold", "held")
        newest = max(t_ms for t_ms in sounds if t_ms * MS <= step.t_ns + rule.tolerance_ms * MS)
        assert reading.sample.t_ns == newest * MS


@settings(max_examples=100)
@given(stamps, stamps, rules, st.lists(st.booleans(), max_size=80), st.lists(st.booleans(), max_size=80))
def test_the_same_stamps_make_the_same_moments_whatever_order_they_arrive_in(images, sounds, rule, one, other):
    first, second = (moments(images, sounds, rule, order) for order in (one, other))
    assert first == second
    assert len(first) == len(images)


def test_a_moment_cannot_be_changed():
    bench = Bench()
    bench.capture("image", 20)
    moment = bench.next()
    assert replace(moment, seq=1) != moment
    with pytest.raises(AttributeError):
        moment.seq = 3
