"""The live loop end to end on a small real bundle: order, reuse, counts, faults and their way back."""

import threading
import time

import numpy as np
import pytest
from bundles import senses_bundle
from sinks import Kept
from sources import END, Script, picture, pictures, sounds
from videos import write_video

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import EngineConfig, LoopConfig, RunConfig
from mm_edge.errors import DeviceError, EngineError, SourceLostError, UsageError, WorkFailedError
from mm_edge.runtime.engines.selection import select_engine
from mm_edge.runtime.engines.stub import StubEngine
from mm_edge.runtime.loop.worker import Worker
from mm_edge.runtime.session.predict import Predictor
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.source import Capture
from mm_edge.runtime.sources.camera.video_file import VideoFile
from mm_edge.runtime.sources.play import PlayClock
from mm_edge.sample import Event
from mm_edge.spec import InputSync, Sync

SOON_S = 10.0  # far more than anything here takes; only a hang reaches it


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")) as opened:
        yield opened


def words(text="the red ball", t_ns=0):
    return Script("text", [Capture(t_ns, text)], ready=True, live=True)


def run(bundle, sources, *, config=RunConfig(), engine=None, sinks=None):  # noqa: B008
    """Runs until the driver has ended, and gives what a sink kept."""
    kept = Kept()
    session = Run(bundle, config, sources, [kept, *(sinks or [])], engine=engine)
    with session:
        assert session.wait(SOON_S)
    kept.session = session
    return kept


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_every_picture_gives_its_own_prediction_in_order(bundle, depth):
    kept = run(
        bundle, [Script("image", pictures(100)), words()], config=RunConfig(loop=LoopConfig(depth=depth, workers=4))
    )
    assert [prediction.seq for prediction in kept.predictions] == list(range(100))
    reds = [round(prediction.outputs["seen"]["red"] * 255) for prediction in kept.predictions]
    assert reds == list(range(100))
    assert kept.summary.captured["image"] == kept.summary.predictions == 100
    assert kept.closed


def test_a_file_gives_the_same_predictions_in_order_by_each_decoder(bundle, tmp_path):
    path = write_video(tmp_path / "camera.mp4", count=60)
    told = {}
    for decoder in ("pyav", "opencv"):
        kept = run(bundle, [VideoFile("image", path, PlayClock("max"), decoder), words()])
        predictions, first = kept.predictions, kept.predictions[0]
        assert [prediction.seq for prediction in predictions] == list(range(60))
        assert kept.summary.captured["image"] == kept.summary.predictions == 60
        times = [prediction.t_ns - first.t_ns for prediction in predictions]
        told[decoder] = times, [prediction.outputs["seen"]["red"] * 255 for prediction in predictions]
    assert told["pyav"][0] == told["opencv"][0] == [40_000_000 * number for number in range(60)]
    np.testing.assert_allclose(told["pyav"][1], told["opencv"][1], atol=3)  # levels of 255
    np.testing.assert_allclose(told["pyav"][1], [20 * number % 256 for number in range(60)], atol=8)


def test_the_model_hears_the_sound_and_reads_the_text(bundle):
    kept = run(bundle, [Script("image", pictures(40)), Script("audio", sounds(14)), words("the red ball")])
    last = kept.predictions[-1]
    # The window holds the last ten blocks before the picture: 1.32 s in, those are blocks 3 to 12 or 4 to 13.
    newest = last.inputs["audio"].seq
    blocks = np.arange(newest - 9, newest + 1) / 100
    assert last.outputs["seen"]["loudness"] == pytest.approx(float(np.sqrt(np.mean(blocks**2))), rel=1e-4)
    assert last.outputs["seen"]["words"] == pytest.approx((2 + 4 + 7) / 8)
    assert last.outputs["senses"] == {"image": 1.0, "audio": 1.0, "text": 1.0}
    assert last.health == "ok"


def test_a_replay_makes_the_same_moments_and_predictions(bundle):
    def play():
        kept = run(bundle, [Script("image", pictures(60)), Script("audio", sounds(20)), words()])
        return [
            (item.seq, item.outputs, {name: (age.seq, age.state) for name, age in item.inputs.items()})
            for item in kept.predictions
        ]

    assert play() == play() == play()


def test_encoders_run_only_for_something_new(bundle):
    kept = run(bundle, [Script("image", pictures(60)), Script("audio", sounds(22)), words()])
    ran = {
        label: sum(label in item.latency_ms for item in kept.predictions)
        for label in ("encode.image", "encode.audio", "encode.text", "fuse")
    }
    heard = len({item.inputs["audio"].seq for item in kept.predictions} - {None})
    assert ran == {"encode.image": 60, "encode.audio": heard, "encode.text": 1, "fuse": 60}
    fresh = sum(item.inputs["audio"].state == "fresh" for item in kept.predictions)
    assert fresh == heard


def test_reuse_can_be_given_up_and_changes_no_result(bundle):
    sources = lambda: [Script("image", pictures(30)), Script("audio", sounds(11)), words()]  # noqa: E731
    reused = run(bundle, sources())
    every = run(bundle, sources(), config=RunConfig(loop=LoopConfig(every_part_every_tick=True)))
    assert [item.outputs for item in every.predictions] == [item.outputs for item in reused.predictions]
    assert all("encode.text" in item.latency_ms for item in every.predictions)


def test_a_new_text_counts_from_its_capture_on(bundle):
    texts = Script("text", [Capture(0, "stop"), Capture(330_000_000, "go"), END])
    kept = run(bundle, [Script("image", pictures(20)), texts])
    told = [round(item.outputs["seen"]["words"] * 8) for item in kept.predictions]
    assert told == [9] * 9 + [10] * 11


def test_an_input_without_a_source_is_masked_and_nothing_is_wrong(bundle):
    kept = run(bundle, [Script("image", pictures(5)), words()])
    assert {item.inputs["audio"].state for item in kept.predictions} == {"missing"}
    assert kept.predictions[-1].outputs["senses"] == {"image": 1.0, "audio": 0.0, "text": 1.0}
    assert kept.predictions[-1].health == "ok"


def test_without_a_camera_the_next_input_drives(bundle):
    kept = run(bundle, [Script("audio", sounds(6)), words()])
    assert kept.summary.engine["driver"] == "audio"
    assert [item.inputs["audio"].seq for item in kept.predictions] == list(range(6))


def test_a_live_driver_drops_what_the_model_is_too_slow_for_and_counts_it(bundle):
    gate, started = threading.Event(), threading.Event()

    def slow(**_inputs):
        started.set()
        gate.wait(SOON_S)
        return {}

    camera = Script("image", [picture(1, 0)], live=True)
    kept = Kept()
    session = Run(
        bundle,
        RunConfig(loop=LoopConfig(depth=1)),
        [camera, words()],
        [kept],
        engine=StubEngine({"encode_image": slow}),
    )
    with session:
        assert started.wait(SOON_S)
        for t_ns in range(2, 30):
            camera.items.put(picture(t_ns, 0))
        while session.channels["image"].given < 29:
            time.sleep(0.001)
        gate.set()
        camera.items.put(END)
        assert session.wait(SOON_S)
    summary = kept.summary
    assert [item.t_ns for item in kept.predictions] == [1, 29]
    assert summary.captured["image"] == 29 == summary.predictions + sum(summary.dropped["image"].values())
    assert summary.dropped["image"]["overrun"] == 27


def test_a_lost_microphone_degrades_and_heals(bundle):
    rule = Sync(driver="image", inputs={"audio": InputSync(max_age_ms=150, missing="mask")})
    camera, mic = Script("image", live=True), Script("audio", live=True, period_ns=100_000_000)
    heard = sounds(40)
    kept = Kept()
    session = Run(bundle, RunConfig(sync=rule.inputs), [camera, mic, words()], [kept])

    def tick(t_ms):
        before = len(kept.predictions)
        camera.items.put(picture(t_ms * 1_000_000, 0))
        _until(lambda: len(kept.predictions) > before)
        return kept.predictions[-1]

    with session:
        mic.items.put(heard[0])
        _until(lambda: session.channels["audio"].given == 1)
        assert (tick(50).inputs["audio"].state, tick(60).health) == ("fresh", "ok")
        mic.items.put(SourceLostError("unplugged"))
        _until(lambda: ("audio", "lost") in kept.events)
        assert tick(500).inputs["audio"].state == "missing"
        assert tick(501).health == "degraded"
        _until(lambda: mic.opened == 2)
        mic.items.put(heard[30])  # captured at 3.0 s
        _until(lambda: session.states["audio"] == "live")
        healed = tick(3100)
        assert (healed.inputs["audio"].state, healed.health) == ("fresh", "ok")
        camera.items.put(END)
        assert session.wait(SOON_S)
    assert [state for source, state in kept.events if source == "audio"] == ["live", "lost", "reconnecting", "live"]
    assert mic.closed >= 1


def test_a_source_that_is_not_there_ends_the_start_and_leaves_nothing_running(bundle):
    class Absent(Script):
        def open(self):
            raise DeviceError("there is no such camera", action="opening camera 7")

    before = threading.active_count()
    session = Run(bundle, RunConfig(), [Absent("image", live=True), words()], [Kept()])
    with pytest.raises(DeviceError, match="opening camera 7: there is no such camera"), session:
        pass
    _until(lambda: threading.active_count() == before)


def test_a_part_that_fails_once_costs_its_moment_and_is_told(bundle):
    calls = []

    def fuse(**_inputs):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of luck")
        return {}

    kept = run(
        bundle,
        [Script("image", pictures(10)), words()],
        engine=StubEngine({"fuse": fuse}),
        config=RunConfig(loop=LoopConfig(depth=1)),
    )
    assert len(kept.predictions) == 9
    assert kept.summary.dropped["image"]["failed"] == 1
    assert ("engine", "failed") in kept.events
    kept.session.raise_error()


def test_another_fault_at_the_next_moment_is_reported_too_and_the_same_one_is_not(bundle):
    faults = {3: "out of luck", 4: "out of memory", 7: "out of luck", 8: "out of luck"}
    calls = []

    def fuse(**_inputs):
        calls.append(1)
        if len(calls) in faults:
            raise RuntimeError(faults[len(calls)])
        return {}

    kept = run(
        bundle,
        [Script("image", pictures(10)), words()],
        engine=StubEngine({"fuse": fuse}),
        config=RunConfig(loop=LoopConfig(depth=1)),
    )
    details = [item.detail for item in kept.items if isinstance(item, Event) and item.source == "engine"]
    assert [detail.partition(";")[0] for detail in details] == ["out of luck", "out of memory", "out of luck"]
    assert kept.summary.dropped["image"]["failed"] == 4


def test_one_fault_of_a_part_that_moments_share_does_not_end_the_run(bundle):
    """The text is encoded once for all moments in flight."""
    calls, gate = [], threading.Event()

    def encode_text(text):
        calls.append(1)
        if len(calls) == 1:
            gate.wait(SOON_S)
            raise RuntimeError("a transient fault")
        return {}

    camera = Script("image", pictures(30))
    kept = Kept()
    config = RunConfig(loop=LoopConfig(depth=8, workers=3))
    session = Run(bundle, config, [camera, words()], [kept], engine=StubEngine({"encode_text": encode_text}))
    with session:
        _until(lambda: len(session.loop.streams[0].flying) == 8)
        gate.set()
        assert session.wait(SOON_S)
    session.raise_error()
    assert (len(kept.predictions), kept.summary.dropped["image"]["failed"]) == (22, 8)


def test_a_part_that_raises_the_same_error_again_and_again_ends_the_run(bundle):
    error = RuntimeError("the device is gone")

    def fuse(**_inputs):
        raise error

    kept = run(bundle, [Script("image", pictures(50)), words()], engine=StubEngine({"fuse": fuse}))
    with pytest.raises(WorkFailedError, match="the device is gone"):
        kept.session.raise_error()


def test_a_part_that_keeps_failing_ends_the_run_with_its_reason(bundle):
    def fuse(**_inputs):
        raise RuntimeError("the device is gone")

    kept = run(bundle, [Script("image", pictures(50)), words()], engine=StubEngine({"fuse": fuse}))
    with pytest.raises(WorkFailedError, match="the device is gone"):
        kept.session.raise_error()
    summary = kept.summary
    assert summary.captured["image"] == sum(summary.dropped["image"].values())


def test_what_a_part_raised_is_told_before_what_follows_from_it(bundle):
    """A lane that cannot let go of a lost device raises too, when it ends."""

    def fuse(**_inputs):
        raise DeviceError("the GPU is lost")

    def detach():
        raise EngineError("letting go of it failed")

    engine = StubEngine({"fuse": fuse})
    engine.detach = detach
    kept = run(bundle, [Script("image", pictures(50)), words()], engine=engine)
    with pytest.raises(DeviceError, match="the GPU is lost"):
        kept.session.raise_error()


class Watched(StubEngine):
    """Keeps what of it was closed."""

    def __init__(self):
        super().__init__()
        self.closed = []

    def load(self, part, *rest):
        made = super().load(part, *rest)
        made.close = lambda: self.closed.append(part.name)
        return made

    def close(self):
        self.closed.append("engine")


def test_a_worker_that_hangs_closes_the_engine_when_it_ends(bundle):
    """The run ends without it; what the run owned is still given back, once, and not while a part uses it."""
    entered, release = threading.Event(), threading.Event()

    def hang(**_inputs):
        entered.set()
        release.wait(SOON_S)
        return {}

    engine = Watched()
    engine._functions["encode_image"] = hang
    camera = Script("image", [picture(1, 0)], live=True)
    run = Run(bundle, RunConfig(), [camera, words()], [Kept()], engine=engine)
    with run:
        assert entered.wait(SOON_S)
    assert run.left_behind
    assert engine.closed == []
    release.set()
    _until(lambda: "engine" in engine.closed)
    assert sorted(engine.closed) == sorted([*(part.name for part in bundle.manifest.parts), "engine"])


def test_an_engine_is_closed_though_the_threads_of_its_workers_still_end(bundle, monkeypatch):
    """On a loaded machine a thread may take long to end after its last act; the engine must not wait for that."""
    release = threading.Event()
    run_worker = Worker.run

    def end_slowly(self):
        run_worker(self)
        release.wait(SOON_S)

    monkeypatch.setattr(Worker, "run", end_slowly)
    engine = Watched()
    run = Run(bundle, RunConfig(), [Script("image", pictures(3)), words()], [Kept()], engine=engine)
    with run:
        assert run.wait(SOON_S)
    assert "engine" in engine.closed
    assert not run.left_behind
    release.set()


def test_a_session_that_cannot_be_put_together_closes_its_engine(bundle):
    engine = Watched()
    with pytest.raises(UsageError, match="nothing feeds 'text'"):
        Run(bundle, RunConfig(driver="text"), [Script("image", pictures(1))], [], engine=engine)
    assert sorted(engine.closed) == sorted([*(part.name for part in bundle.manifest.parts), "engine"])


def test_a_predictor_that_cannot_be_put_together_closes_its_engine(bundle, monkeypatch):
    engine = Watched()

    def no_room(shape, dtype):
        raise EngineError("there is no room")

    engine.buffer = no_room
    monkeypatch.setattr(select_engine, "open_engine", lambda config, *_: engine)
    with pytest.raises(EngineError, match="there is no room"):
        Predictor.load(bundle, RunConfig(engine=EngineConfig(name="stub")))
    assert engine.closed[-1] == "engine"


def test_stop_rule_ends_the_run_with_its_reason(bundle):
    config = RunConfig(sync={"audio": InputSync(missing="stop")})
    kept = run(bundle, [Script("image", pictures(5)), words()], config=config)
    with pytest.raises(WorkFailedError, match="'audio' was missing"):
        kept.session.raise_error()


def test_a_sink_that_blocks_is_told_and_holds_up_nobody(bundle):
    release = threading.Event()

    class Stuck(Kept):
        name = "stuck"

        def take(self, item):
            release.wait(SOON_S)

    camera, kept = Script("image", live=True), Kept()
    session = Run(bundle, RunConfig(), [camera, words()], [kept, Stuck()])
    with session:
        for t_ns in range(1, 200):
            camera.items.put(picture(t_ns, 0))
        _until(lambda: ("sink.stuck", "stalled") in kept.events)
        before = len(kept.predictions)
        camera.items.put(picture(1000, 0))
        _until(lambda: len(kept.predictions) > before)
        release.set()


def test_a_sink_that_fails_costs_its_own_output_only(bundle):
    class Full(Kept):
        name = "full"

        def take(self, item):
            raise OSError(28, "No space left on device")

    kept = run(bundle, [Script("image", pictures(20)), words()], sinks=[Full()])
    assert len(kept.predictions) == 20
    assert ("sink.full", "failed") in kept.events
    with pytest.raises(WorkFailedError, match="No space left"):
        kept.session.raise_error()


def test_a_source_that_hangs_does_not_keep_the_run_from_ending(bundle):
    class Hanging(Script):
        def interrupt(self):
            """The driver does not listen."""

    camera = Hanging("image", [picture(1, 0)], live=True)
    session = Run(bundle, RunConfig(), [camera, words()], [Kept()])
    with session:
        _until(lambda: session.predictions == 1)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert session.left_behind
    camera.items.put(END)


def test_deadlines_are_counted(bundle):
    kept = run(
        bundle, [Script("image", pictures(10)), words()], config=RunConfig(loop=LoopConfig(deadline_ms=0.000001))
    )
    assert kept.summary.deadline_missed == 10
    assert all(item.deadline_missed for item in kept.predictions)


def test_threads_and_places_are_given_back(bundle):
    before = threading.active_count()
    kept = run(bundle, [Script("image", pictures(200)), Script("audio", sounds(70)), words()])
    assert threading.active_count() == before
    for stage in kept.session.loop.streams[0].plan.stages:
        assert len(stage.free) == 2  # depth + 1, but for the newest result, which is kept


def test_a_precision_that_the_bundle_does_not_contain_is_refused(bundle):
    from mm_edge.runtime.engines.selection.choose import choose_precisions

    with pytest.raises(EngineError, match="--precision int8 on the cpu: the bundle contains fp32"):
        choose_precisions(bundle.manifest, "cpu", "int8")


def _until(condition):
    """Waits for what another thread is about to do."""
    until_s = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.001)
