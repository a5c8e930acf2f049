"""A run that looks for a faster engine: what it adopts, what it only remembers, and what it refuses."""

import time

import numpy as np
import pytest
from bundles import senses_bundle
from sinks import Kept
from sources import Script, pictures
from sources import picture as make_picture

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import EngineConfig, RunConfig
from mm_edge.errors import EngineError
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.selection import alternatives, select_engine
from mm_edge.runtime.engines.selection.alternatives import SAFE
from mm_edge.runtime.engines.selection.choice import Choice
from mm_edge.runtime.engines.selection.tuned import Tuned, machine_of, recall_choice, remember_choice
from mm_edge.runtime.session.engine import improver
from mm_edge.runtime.session.engine.duel import Duel, parts_after
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.source import Capture

SOON_S = 10.0
OTHER = Choice("other")


class Other(OnnxRuntimeEngine):
    """ONNX Runtime by another name, so that it must pass the golden check; `scale` makes its outputs wrong."""

    name = "other"

    def __init__(self, scale=1.0):
        super().__init__()
        self.golden_tolerance = 1e-3
        self.scale, self.closed, self.runs = scale, False, 0

    def load(self, part, *how):
        made = super().load(part, *how)
        make_slot = made.slot

        def slot(to_host=()):
            this, engine = make_slot(to_host), self
            run = this.run

            def scaled(inputs):
                engine.runs += 1
                run(inputs)
                for value in this.outputs.values():
                    if value.array.dtype == np.float32:
                        value.array *= engine.scale

            this.run = scaled
            return this

        made.slot = slot
        return made

    def close(self):
        self.closed = True


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True)) as opened:
        yield opened


@pytest.fixture
def other(monkeypatch, tmp_path):
    """A machine with another engine, which takes half of the time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made, real = Other(), select_engine.open_engine

    def open_engine(config, *how):
        if config.name != "other":
            return real(config, *how)
        if isinstance(made.scale, Exception):
            raise made.scale
        return made

    monkeypatch.setattr(select_engine, "open_engine", open_engine)
    monkeypatch.setattr(improver, "engines", lambda _depth: [OTHER])
    monkeypatch.setattr(improver, "START_AFTER_S", 0.0)
    monkeypatch.setattr(Duel, "time_ratio", lambda *_: 0.5)
    return made


def live(count, until, *, after):
    """A live camera that gives one picture at a time, and `after` more once `until` is true."""

    class Camera(Script):
        def __init__(self):
            super().__init__("image", live=True)
            self.given = self.left = 0

        def read(self):
            if until():
                self.left = self.left or self.given + after
            if self.left and self.given >= self.left:
                return None
            time.sleep(0.002)
            self.given += 1
            assert self.given < count, "it never happened"
            return make_picture(time.monotonic_ns(), self.given % 200)

        def interrupt(self):
            """It never blocks."""

    return Camera()


def words():
    return Script("text", [Capture(0, "the red ball")], ready=True, live=True)


def follow(run):
    """The details of the engine's events, as they come."""
    return [event.detail for event in run.items if getattr(event, "source", "") == "engine"]


def run_live(bundle, *, config=RunConfig(), until=None, after=30):  # noqa: B008
    kept = Kept()
    camera = live(4000, until or (lambda: follow(kept)), after=after)
    with Run(bundle, config, [camera, words()], [kept]) as run:
        assert run.wait(SOON_S)
    run.raise_error()
    return kept


def test_a_live_run_changes_to_a_faster_engine_between_two_moments(bundle, other):
    kept = run_live(bundle)
    (detail,) = follow(kept)
    assert detail.startswith("runs on --engine other: 0.50 times the time of --engine onnxruntime")
    assert kept.summary.engine["engine"] == "other"
    assert kept.summary.engine["tuned"] == {"choice": "--engine other", "gain": 0.5, "by": "run"}
    # Every picture that was not dropped has its own prediction, in order, before and after the change.
    seqs = [prediction.seq for prediction in kept.predictions]
    assert seqs == sorted(seqs)
    assert kept.summary.captured["image"] == len(seqs) + sum(kept.summary.dropped["image"].values())
    assert sum(kept.summary.dropped["image"].values()) - kept.summary.dropped["image"]["overrun"] == 0
    for prediction in kept.predictions:
        assert prediction.outputs["seen"]["words"] == kept.predictions[0].outputs["seen"]["words"]
    assert other.runs > 30


def test_the_next_run_starts_with_what_was_found(bundle, other):
    run_live(bundle)
    kept = Kept()
    with Run(bundle, RunConfig(), [Script("image", pictures(3)), words()], [kept]) as run:
        assert run.running.selected.engine.name == "other"
        assert run.wait(SOON_S)
    assert kept.summary.engine["tuned"]["by"] == "run"
    assert len(kept.predictions) == 3


def test_a_played_run_keeps_its_engine_and_remembers_the_faster_one(bundle, other, monkeypatch):
    """The same file must give the same answers from its first picture to its last."""
    remembered = []
    monkeypatch.setattr(improver, "remember_choice", lambda _bundle, tuned: remembered.append(tuned))
    kept = Kept()

    class File(Script):
        def read(self):
            return super().read() if self.items.qsize() > 1 or remembered else make_picture(1, 3)

    with Run(bundle, RunConfig(), [File("image", pictures(1)), words()], [kept]) as run:
        assert run.wait(SOON_S)
    assert kept.summary.engine["engine"] == "onnxruntime"
    assert [tuned.choice for tuned in remembered] == [OTHER]
    assert follow(kept)[0].startswith("the next run uses --engine other")
    assert other.closed


@pytest.mark.parametrize("scale", [1.1, EngineError("it does not load")])
def test_an_engine_that_is_wrong_or_does_not_load_is_not_used(bundle, other, scale):
    other.scale = scale
    tried = time.monotonic() + 0.5
    kept = run_live(bundle, until=lambda: time.monotonic() > tried)
    assert follow(kept) == []
    assert kept.summary.engine["engine"] == "onnxruntime"
    assert recall_choice(bundle, "latency").choice == SAFE  # so that the next run does not look again
    assert isinstance(scale, Exception) or other.closed


def test_an_engine_whose_answers_differ_is_not_used(bundle, other, monkeypatch):
    monkeypatch.setattr(improver, "same_answers", lambda *_: False)
    tried = time.monotonic() + 0.5
    kept = run_live(bundle, until=lambda: time.monotonic() > tried)
    assert kept.summary.engine["engine"] == "onnxruntime"
    assert other.closed


def test_an_engine_that_is_hardly_faster_is_not_used(bundle, other, monkeypatch):
    monkeypatch.setattr(Duel, "time_ratio", lambda *_: 0.95)
    tried = time.monotonic() + 0.5
    kept = run_live(bundle, until=lambda: time.monotonic() > tried)
    assert kept.summary.engine["engine"] == "onnxruntime"
    assert other.closed


@pytest.mark.parametrize(
    "engine",
    [
        EngineConfig(name="onnxruntime"),
        EngineConfig(threads=1),
        EngineConfig(improve=False),
        EngineConfig("auto", "fp32"),
    ],
    ids=["named", "threads", "off", "precision"],
)
def test_what_was_requested_stays(bundle, other, engine):
    remember_choice(bundle, Tuned("senses", "latency", OTHER, 0.5, "tune", machine_of()))
    kept = Kept()
    with Run(bundle, RunConfig(engine=engine), [Script("image", pictures(3)), words()], [kept]) as run:
        assert run.wait(SOON_S)
    assert kept.summary.engine["engine"] == "onnxruntime"
    assert other.runs == 0


def test_a_remembered_choice_that_does_not_run_is_reported_and_the_safe_one_runs(bundle, other):
    remember_choice(bundle, Tuned("senses", "latency", OTHER, 0.5, "tune", machine_of()))
    other.scale = 1.1
    with Run(bundle, RunConfig(), [Script("image", pictures(3)), words()], [Kept()]) as run:
        assert run.wait(SOON_S)
    facts = run.describe()
    assert facts["engine"] == "onnxruntime"
    assert "has a relative error" in facts["skipped_engines"]["--engine other"]


def test_a_run_that_ends_while_engines_are_compared_ends_soon(bundle, other, monkeypatch):
    compares = []

    def slow(_duel, _driver, _seconds, stopped):
        compares.append(time.monotonic())
        while not stopped():
            time.sleep(0.001)
        return 0.5

    monkeypatch.setattr(Duel, "time_ratio", slow)
    kept = run_live(bundle, until=lambda: bool(compares), after=1)
    assert kept.summary.engine["engine"] == "onnxruntime"
    assert recall_choice(bundle, "latency") is None
    assert other.closed


def test_parts_after_an_input_are_those_that_its_samples_run(bundle):
    assert parts_after(bundle.manifest, "image") == ["encode_image", "fuse"]
    assert parts_after(bundle.manifest, "text") == ["encode_text", "fuse"]


def test_a_duel_finds_the_slower_engine(bundle):
    first, second = (
        select_engine.SelectedEngine(engine, select_engine.load_each(bundle, engine, bundle.manifest.parts, *how))
        for engine, how in ((Other(), plain(bundle)), (Slow(), plain(bundle)))
    )
    assert Duel(bundle, first, second).time_ratio("image", 0.1, lambda: False) > 1.5


class Slow(Other):
    def load(self, part, *how):
        made = super().load(part, *how)
        make_slot = made.slot

        def slot(to_host=()):
            this = make_slot(to_host)
            run = this.run
            this.run = lambda inputs: (time.sleep(0.003), run(inputs))
            return this

        made.slot = slot
        return made


def plain(bundle):
    names = [part.name for part in bundle.manifest.parts]
    return dict.fromkeys(names, "fp32"), dict.fromkeys(names, 1)


def test_without_another_engine_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(alternatives, "find_spec", lambda _name: None)
    assert alternatives.engines(2) == []
