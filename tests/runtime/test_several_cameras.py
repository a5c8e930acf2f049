"""Several cameras on one model: each has its own order, ages, drops, states and faults; other inputs are shared."""

import queue
import threading
import time

import numpy as np
import pytest
from bundles import senses_bundle
from sinks import Kept
from sources import END, Script, picture, pictures, sounds

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import LoopConfig, RunConfig
from mm_edge.errors import DeviceError, SourceLostError, UsageError
from mm_edge.runtime.engines.stub import StubEngine
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.source import Capture
from mm_edge.sample import Event
from mm_edge.spec import InputSync

SOON_S = 10.0
MS = 1_000_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")) as opened:
        yield opened


def camera(name, items=(), **options):
    return Script("image", items, name=name, **options)


def words(text="the red ball"):
    return Script("text", [Capture(0, text)], ready=True, live=True)


def run(bundle, sources, *, config=RunConfig(), engine=None):  # noqa: B008
    kept = Kept()
    kept.session = Run(bundle, config, sources, [kept], engine=engine)
    with kept.session:
        assert kept.session.wait(SOON_S)
    return kept


def of(kept, name):
    return [prediction for prediction in kept.predictions if prediction.camera == name]


def adds_up(summary):
    for figures in summary.cameras.values():
        assert figures.captured["image"] == figures.predictions + sum(figures.dropped["image"].values())
    assert summary.predictions == sum(figures.predictions for figures in summary.cameras.values())
    assert summary.captured["image"] == sum(figures.captured["image"] for figures in summary.cameras.values())
    assert summary.captured["image"] == summary.predictions + sum(summary.dropped["image"].values())


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_each_camera_has_its_own_order_and_its_own_pictures(bundle, depth):
    counts = {"door": 60, "yard": 35, "shop": 90}
    cameras = [camera(name, pictures(count, (k + 1) * 7 * MS)) for k, (name, count) in enumerate(counts.items())]
    kept = run(bundle, [*cameras, words()], config=RunConfig(loop=LoopConfig(depth=depth, workers=4)))
    for name, count in counts.items():
        mine = of(kept, name)
        assert [prediction.seq for prediction in mine] == list(range(count))
        assert [prediction.inputs["image"].seq for prediction in mine] == list(range(count))
        assert [round(prediction.outputs["seen"]["red"] * 255) for prediction in mine] == list(range(count))
        assert kept.summary.cameras[name].predictions == count
    adds_up(kept.summary)
    assert kept.run.cameras == {name: f"scripted {name}" for name in counts}


def test_several_cameras_give_what_each_gives_alone(bundle):
    def items(prediction):
        ages = {name: (age.seq, age.state) for name, age in prediction.inputs.items()}
        return prediction.seq, prediction.t_ns, prediction.outputs, ages

    made = {"door": lambda: pictures(50, 30 * MS), "yard": lambda: pictures(20, 70 * MS)}
    alone = {
        name: run(bundle, [camera(name, make()), Script("audio", sounds(16)), words()]).predictions
        for name, make in made.items()
    }
    together = run(
        bundle, [*(camera(name, make()) for name, make in made.items()), Script("audio", sounds(16)), words()]
    )
    for name, expected in alone.items():
        assert [prediction.camera for prediction in expected] == [None] * len(expected)
        assert [items(prediction) for prediction in of(together, name)] == [items(item) for item in expected]


def test_what_all_cameras_share_is_encoded_once(bundle):
    """Their pictures come in step, so that every block of sound belongs to moments of all of them."""
    names = ["door", "yard", "shop"]
    kept = run(bundle, [*(camera(name, pictures(60)) for name in names), Script("audio", sounds(22)), words()])
    ran = {
        label: sum(label in item.latency_ms for item in kept.predictions)
        for label in ("encode.image", "encode.audio", "encode.text", "fuse")
    }
    heard = len({item.inputs["audio"].seq for item in kept.predictions} - {None})
    assert ran["encode.image"] == ran["fuse"] == 180
    assert ran["encode.text"] == 1
    # A camera that is ahead by more than a block may have replaced what another still needs.
    assert heard <= ran["encode.audio"] < 2 * heard
    assert kept.summary.captured["audio"] == 22
    assert kept.summary.captured["text"] == 1


def test_the_places_of_shared_results_are_all_given_back(bundle):
    kept = run(
        bundle,
        [*(camera(name, pictures(80, 5 * MS)) for name in "abcd"), Script("audio", sounds(40)), words()],
        config=RunConfig(loop=LoopConfig(depth=3, workers=4)),
    )
    streams = kept.session.loop.streams
    stages = [stage for stream in streams for stage in stream.plan.stages]
    newest = {id(stage.last): stage.last for stage in stages if stage.last is not None}
    for stage in stages:
        holders = [task for task in newest.values() if task.stage.free is stage.free]
        owners = [other for other in stages if other.free is stage.free]
        assert len(stage.free) + len(holders) == 4 * len(owners), stage.label


def test_without_reuse_nothing_is_shared_and_the_results_are_the_same(bundle):
    def sources():
        return [*(camera(name, pictures(20)) for name in ("door", "yard")), Script("audio", sounds(9)), words()]

    shared = run(bundle, sources())
    every = run(bundle, sources(), config=RunConfig(loop=LoopConfig(every_part_every_tick=True)))
    for name in ("door", "yard"):
        assert [item.outputs for item in of(every, name)] == [item.outputs for item in of(shared, name)]
    assert all("encode.text" in item.latency_ms for item in every.predictions)


class Live:
    """A live run whose cameras are driven by hand."""

    def __init__(self, bundle, names, *, config=RunConfig(), engine=None, mic=False):  # noqa: B008
        self.cameras = {name: camera(name, live=True, period_ns=50 * MS) for name in names}
        self.mic = Script("audio", live=True, period_ns=100 * MS)
        self.kept = Kept()
        sources = [*self.cameras.values(), *([self.mic] if mic else []), words()]
        self.session = Run(bundle, config, sources, [self.kept], engine=engine)

    def tick(self, name, t_ms, level=0):
        before = len(of(self.kept, name))
        self.cameras[name].items.put(picture(round(t_ms * MS), level))
        _until(lambda: len(of(self.kept, name)) > before)
        return of(self.kept, name)[-1]

    def end(self, *names):
        for name in names or self.cameras:
            self.cameras[name].items.put(END)

    def events(self, name):
        return [item.state for item in self.kept.items if isinstance(item, Event) and item.camera == name]


def test_a_lost_camera_does_not_hold_up_the_others_and_comes_back(bundle):
    live = Live(bundle, ["door", "yard"])
    with live.session:
        assert live.tick("door", 10).health == live.tick("yard", 11).health == "ok"
        live.cameras["door"].fail_to_open = 3
        live.cameras["door"].items.put(SourceLostError("unplugged"))
        _until(lambda: "lost" in live.events("door"))
        for k in range(20):
            assert live.tick("yard", 100 + k, k).health == "ok"  # another camera's loss is not its own
        _until(lambda: live.session.states["door"] == "reconnecting")
        live.cameras["door"].items.put(picture(900 * MS, 5))
        _until(lambda: len(of(live.kept, "door")) == 2)
        live.end()
        assert live.session.wait(SOON_S)
    assert live.events("door") == ["live", "lost", "reconnecting", "live", "ended"]
    assert {"lost", "reconnecting"}.isdisjoint(live.events("yard"))
    assert [item.seq for item in of(live.kept, "door")] == [0, 1]
    adds_up(live.kept.summary)


def test_a_camera_that_ends_leaves_the_others_running_until_the_last_has_ended(bundle):
    live = Live(bundle, ["door", "yard"], mic=True)
    heard = sounds(40)
    with live.session:
        live.tick("door", 10)
        live.end("door")
        _until(lambda: "ended" in live.events("door"))
        for k in range(10):
            live.mic.items.put(heard[k])
            _until(lambda k=k: live.session.channels["audio"].given == k + 1)
            live.tick("yard", 150 + 100 * k)
        assert not live.session.wait(0.05)
        live.end("yard")
        assert live.session.wait(SOON_S)
    assert live.kept.summary.cameras["door"].predictions == 1
    assert live.kept.summary.cameras["yard"].predictions == 10
    assert live.kept.summary.captured["audio"] == 10


def test_a_played_input_is_not_held_up_by_a_camera_that_has_ended(bundle):
    """More blocks than a channel takes come after the short camera's end."""
    short, long = camera("short", pictures(3, 10 * MS)), camera("long", pictures(2400, 100 * MS))
    ring = sounds(1)[0].payload.ring
    blocks = [Capture(k * 100 * MS, type(sounds(1)[0].payload)(ring, 1600, 1600)) for k in range(2400)] + [END]
    kept = run(bundle, [short, long, Script("audio", blocks), words()])
    assert len(of(kept, "short")) == 3
    assert len(of(kept, "long")) == 2400


def test_a_stuck_camera_holds_up_nobody_and_is_reported_as_stale(bundle):
    live = Live(bundle, ["door", "yard"])
    with live.session:
        live.tick("door", 10)
        until_s = time.monotonic() + SOON_S
        while "stale" not in live.events("door"):
            live.tick("yard", 1000 * (time.monotonic() - until_s) + 20_000)
            assert time.monotonic() < until_s
        assert live.session.states["yard"] == "live"
        live.end()
        assert live.session.wait(SOON_S)


class Gate:
    """A part that runs only when it is let through."""

    def __init__(self):
        self.seen, self.go = queue.Queue(), threading.Semaphore(0)

    def __call__(self, **inputs):
        self.seen.put(int(np.asarray(inputs["image"]).flat[0]))
        assert self.go.acquire(timeout=SOON_S)
        return {}


def test_an_overloaded_model_serves_the_cameras_in_turn_and_each_counts_its_own_drops(bundle):
    """One moment at a time, a fast camera with nine pictures for every one of the slow: both get every second turn."""
    gate = Gate()
    live = Live(
        bundle,
        ["fast", "slow"],
        config=RunConfig(loop=LoopConfig(depth=1, workers=1)),
        engine=StubEngine({"encode_image": gate}),
    )
    served = []
    with live.session:
        live.cameras["fast"].items.put(picture(1, 1))
        served.append(gate.seen.get(timeout=SOON_S))
        for turn in range(8):
            given = {name: live.session.channels[name].given for name in live.cameras}
            for k in range(9):
                live.cameras["fast"].items.put(picture(100 * turn + k + 2, 1))
            live.cameras["slow"].items.put(picture(100 * turn + 2, 2))
            _until(lambda given=given: live.session.channels["fast"].given == given["fast"] + 9)
            _until(lambda given=given: live.session.channels["slow"].given == given["slow"] + 1)
            gate.go.release()
            served.append(gate.seen.get(timeout=SOON_S))
        gate.go.release(20)
        live.end()
        assert live.session.wait(SOON_S)
    assert served == [1, 2, 1, 2, 1, 2, 1, 2, 1]
    adds_up(live.kept.summary)
    figures = live.kept.summary.cameras
    assert figures["fast"].captured["image"] == 73
    assert figures["slow"].captured["image"] == 8
    assert figures["fast"].dropped["image"]["overrun"] > 60
    assert figures["slow"].dropped["image"]["overrun"] < 5


def test_a_camera_whose_stamps_are_always_older_does_not_starve_another(bundle):
    gate = Gate()
    config = RunConfig(loop=LoopConfig(depth=1, workers=1))
    live = Live(bundle, ["delayed", "prompt"], config=config, engine=StubEngine({"encode_image": gate}))
    served = []
    with live.session:
        live.cameras["delayed"].items.put(picture(1, 1))
        served.append(gate.seen.get(timeout=SOON_S))
        for turn in range(6):
            given = sum(live.session.channels[name].given for name in live.cameras)
            live.cameras["delayed"].items.put(picture((turn + 1) * MS, 1))
            live.cameras["prompt"].items.put(picture((turn + 1) * MS + 10_000 * MS, 2))
            _until(lambda given=given: sum(live.session.channels[name].given for name in live.cameras) == given + 2)
            gate.go.release()
            served.append(gate.seen.get(timeout=SOON_S))
        gate.go.release(20)
        live.end()
        assert live.session.wait(SOON_S)
    assert served == [1, 2, 1, 2, 1, 2, 1]


def test_ages_and_latencies_belong_to_the_camera(bundle):
    now_ns = time.monotonic_ns()
    prompt, late = (
        [Capture(now_ns - ago_ms * MS + k, np.zeros((32, 32, 3), np.uint8)) for k in range(10)] + [END]
        for ago_ms in (0, 60_000)
    )
    kept = run(bundle, [camera("late", late), camera("prompt", prompt), words()])
    figures = kept.summary.cameras
    apart = figures["late"].age_ms["image"]["p50"] - figures["prompt"].age_ms["image"]["p50"]
    assert apart == pytest.approx(60_000, rel=0.05)
    assert figures["late"].latency_ms["total"] == figures["late"].age_ms["image"]
    assert kept.summary.age_ms["image"]["max"] == max(each.age_ms["image"]["max"] for each in figures.values())


def test_a_fault_costs_the_moment_of_one_camera_and_names_it(bundle):
    def encode(image):
        if int(np.asarray(image).flat[0]) == 7:
            raise RuntimeError("out of luck")
        return {}

    kept = run(
        bundle,
        [
            camera("door", pictures(20)),
            camera("yard", [picture((k + 1) * 33 * MS, 99) for k in range(20)] + [END]),
            words(),
        ],
        engine=StubEngine({"encode_image": encode}),
    )
    assert [item.seq for item in of(kept, "door")] == [*range(7), *range(8, 20)]
    assert len(of(kept, "yard")) == 20
    assert kept.summary.cameras["door"].dropped["image"]["failed"] == 1
    assert "failed" not in kept.summary.cameras["yard"].dropped["image"]
    events = [item for item in kept.items if isinstance(item, Event) and item.state == "failed"]
    assert [(event.source, event.camera) for event in events] == [("engine", "door")]
    kept.session.raise_error()


def test_a_fault_in_a_shared_part_costs_a_moment_of_each_camera_and_no_more(bundle):
    calls = []

    def encode(**_inputs):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("out of luck")
        return {}

    kept = run(
        bundle,
        [camera("door", pictures(10)), camera("yard", pictures(10)), words()],
        engine=StubEngine({"encode_text": encode}),
        config=RunConfig(loop=LoopConfig(depth=1)),
    )
    adds_up(kept.summary)
    assert 1 <= kept.summary.dropped["image"]["failed"] <= 2
    assert len(calls) == 2
    kept.session.raise_error()


def test_a_rule_that_stops_the_run_stops_it_for_all(bundle):
    config = RunConfig(sync={"audio": InputSync(missing="stop")})
    kept = Kept()
    session = Run(bundle, config, [camera("door", pictures(5)), camera("yard", live=True), words()], [kept])
    with session:
        assert session.wait(SOON_S)
    assert kept.predictions == []


class Absent(Script):
    """A camera that is plugged in later."""

    plugged_in = False

    def open(self):
        if not self.plugged_in:
            raise DeviceError("there is no such camera", action=f"opening {self.name}")
        return super().open()


def test_a_camera_that_is_absent_at_the_start_is_lost_until_it_comes(bundle):
    live = Live(bundle, ["door"])
    late, kept = Absent("image", name="yard", live=True), Kept()
    live.kept, live.cameras["yard"] = kept, late
    live.session = Run(bundle, RunConfig(), [*live.cameras.values(), words()], [kept])
    with live.session:
        assert live.tick("door", 10).health == "ok"
        _until(lambda: live.session.states["yard"] == "reconnecting")
        assert live.tick("door", 20).camera == "door"
        late.plugged_in = True
        assert live.tick("yard", 30).seq == 0
        live.end()
        assert live.session.wait(SOON_S)
    live.session.raise_error()
    assert live.events("yard") == ["lost", "reconnecting", "live", "ended"]
    adds_up(kept.summary)


def test_if_no_camera_can_be_opened_the_start_fails_with_the_first(bundle):
    before = threading.active_count()
    session = Run(bundle, RunConfig(), [Absent("image", name=name, live=True) for name in ("door", "yard")], [Kept()])
    with pytest.raises(DeviceError, match="opening door: there is no such camera"), session:
        pass
    _until(lambda: threading.active_count() == before)


def test_a_broken_file_among_the_cameras_ends_the_start(bundle):
    broken = Absent("image", name="yard", live=False)
    session = Run(bundle, RunConfig(), [camera("door", live=True), broken], [Kept()])
    with pytest.raises(DeviceError, match="opening yard"), session:
        pass


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ([camera("door"), camera("door")], "several have the name 'door'"),
        ([camera("door"), camera("audio")], "the name 'audio' is in use for something else"),
        ([camera("door"), camera("engine")], "the name 'engine' is in use for something else"),
        ([camera("door"), camera("mic"), Script("audio", name="mic")], "the name 'mic' is in use"),
        ([camera(f"c{k}") for k in range(33)], "33 cameras; one run has at most 32"),
        ([Script("audio", name="one"), Script("audio", name="two")], "'audio' takes no pictures"),
    ],
)
def test_what_cannot_be_told_apart_or_served_is_refused(bundle, sources, found):
    with pytest.raises(UsageError, match=found):
        Run(bundle, RunConfig(), sources, [])


def test_another_driver_than_the_cameras_is_refused(bundle):
    sources = [camera("door"), camera("yard"), Script("audio", live=True)]
    with pytest.raises(UsageError, match="'audio' drives the run"):
        Run(bundle, RunConfig(driver="audio"), sources, [])


def _until(happened):
    until_s = time.monotonic() + SOON_S
    while not happened():
        assert time.monotonic() < until_s
        time.sleep(0.001)
