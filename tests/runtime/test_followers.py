"""Live followers keep what a tick can still use, and no more; rules of inputs are changed field by field."""

import threading

import pytest
from bundles import senses_bundle
from hypothesis import given
from hypothesis import strategies as st
from sources import Script

import mm_edge
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig, load_config
from mm_edge.errors import ConfigError
from mm_edge.runtime.channel import LEAST_LAG_NS, MOST_LAG_NS
from mm_edge.runtime.clock import NS_PER_MS
from mm_edge.runtime.loop.align import Aligner
from mm_edge.runtime.session.rules import sync_rules
from mm_edge.runtime.session.streams.channels import make_channels
from mm_edge.sample import Moment, Sample
from mm_edge.spec import InputSync

MS = NS_PER_MS


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Sound: at most 500 ms old, or else masked."""
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


class Live:
    """A text that drives, and a camera that follows."""

    def __init__(self, rule=InputSync()):  # noqa: B008
        self.lock = threading.Lock()
        self.rules = {"image": rule}
        sources = [Script("text", live=True), Script("image", live=True)]
        bell = threading.Condition(self.lock)
        self.channels = make_channels(sources, "text", frozenset(), self.lock, bell, rules=self.rules, in_step=False)
        self.aligner = Aligner("text", self.rules, self.channels)
        self.counts = {"text": 0, "image": 0}

    def capture(self, name, t_ns):
        self.channels[name].put(Sample(name, self.counts[name], round(t_ns), None))
        self.counts[name] += 1

    def tick(self):
        with self.lock:
            step = self.aligner.next(0)
        return step.readings["image"].sample if isinstance(step, Moment) else None

    @property
    def kept(self):
        return len(self.channels["image"].items)


def test_a_camera_that_waits_for_its_driver_keeps_half_a_second_of_pictures():
    live = Live()
    for number in range(10_000):
        live.capture("image", number * 1e9 / 120)
        assert live.kept <= 0.5 * 120
    image = live.channels["image"]
    assert image.given == 10_000 == live.kept + sum(image.dropped.values())
    live.capture("text", 10_000 * 1e9 / 120)
    assert live.tick().seq == 9_999


def test_a_driver_that_was_late_once_is_given_more_time():
    """Its captures arrive a second after their stamps."""
    live = Live()
    for number in range(1000):
        live.capture("image", number * 10 * MS)
        if number in {300, 600, 900}:
            live.capture("text", (number - 100) * 10 * MS)
            found = live.tick()
            assert found is None or number > 300
            assert number == 300 or found.seq == number - 100
    assert live.kept <= (LEAST_LAG_NS + MOST_LAG_NS) / (10 * MS)


def test_a_capture_of_the_driver_that_waits_for_a_worker_keeps_its_sample():
    live = Live()
    for number in range(20):
        live.capture("image", number * 10 * MS)
    live.capture("text", 155 * MS)
    for number in range(20, 2000):
        live.capture("image", number * 10 * MS)
        assert live.kept < 50
    assert live.tick().seq == 15


def test_a_tick_that_waits_for_another_input_keeps_its_sample():
    live = Live()
    sources = [Script("text", live=True), Script("image", live=True), Script("audio", live=True)]
    live.rules |= {"audio": InputSync(wait_ms=60_000), "image": InputSync(tolerance_ms=20)}
    live.channels = make_channels(
        sources, "text", frozenset(), live.lock, threading.Condition(live.lock), rules=live.rules, in_step=False
    )
    live.aligner = Aligner("text", live.rules, live.channels)
    live.counts["audio"] = 0
    live.capture("text", 155 * MS)
    assert live.tick() is None  # it waits for sound
    for number in range(2000):
        live.capture("image", number * 10 * MS)
    assert live.kept < 50
    live.capture("audio", 100 * MS)
    assert live.tick().seq == 17  # within the tolerance


@given(st.lists(st.tuples(st.sampled_from(["image", "image", "image", "text"]), st.integers(0, 60)), max_size=200))
def test_what_is_discarded_changes_no_moment(steps):
    """As long as the driver is not later than half a second."""
    live, full, now = Live(), Live(), 0
    full.channels["image"]._make_room = lambda: None
    for name, ms in steps:
        now += ms * MS
        stamp = now if name == "image" else max(0, now - 5 * ms * MS)
        for each in (live, full):
            each.capture(name, stamp)
        assert live.tick() == full.tick()


def test_a_setting_changes_one_field_of_a_rule_and_keeps_the_others(path):
    with Bundle.open(path) as bundle:
        rule = sync_rules(bundle.manifest, load_config(RunConfig, None, ["sync.audio.max_age_ms=900"]))["audio"]
        assert rule == InputSync(max_age_ms=900, missing="mask")
        rule = sync_rules(bundle.manifest, load_config(RunConfig, None, ["sync.text.wait_ms=5"]))["text"]
        assert rule == InputSync(missing="mask", wait_ms=5)
        unchanged = sync_rules(bundle.manifest, load_config(RunConfig, None, ["sync.audio={}"]))
        assert unchanged == bundle.manifest.sync.inputs
        whole = RunConfig(sync={"audio": InputSync(missing="stop")})
        assert sync_rules(bundle.manifest, whole)["audio"] == InputSync(missing="stop")


def test_a_dead_microphone_stays_masked_when_its_age_is_changed(path):
    with mm_edge.open(path, camera="synthetic", settings=["sync.audio.max_age_ms=300"]) as session:
        assert session._run.loop.streams[0].aligner._followers[0].rule.missing == "mask"


@pytest.mark.parametrize("setting", ["sync.nobody.max_age_ms=5", "sync.nobody={}", "sync.imagee.missing=hold"])
@pytest.mark.parametrize("sources", [{}, {"camera": "synthetic"}])
def test_a_rule_for_an_input_that_does_not_exist_is_an_error(path, setting, sources):
    with pytest.raises(ConfigError, match=r"reading sync\.(nobody|imagee): the bundle's inputs are image, audio, text"):
        mm_edge.open(path, settings=[setting], **sources)


@pytest.mark.parametrize("setting", ["sync.audio.max_age=5", "sync.audio.missing=zero", "sync.audio=5", "sync=5"])
def test_a_field_that_does_not_exist_is_an_error(setting):
    with pytest.raises(ConfigError, match="sync"):
        load_config(RunConfig, None, [setting])
