"""The whole loop on the device layer: what the CPU's loop gives, in order, nothing stale, and every fault handled."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from bundles import senses_bundle
from host_double import host_double
from sinks import Kept
from sources import Script, pictures, sounds

import mm_edge
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import EngineConfig, LoopConfig, RunConfig, SourcesConfig
from mm_edge.errors import EngineError
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.selection import select_engine
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.session.wiring import wire_sources
from mm_edge.runtime.source import Capture
from mm_edge.runtime.trace import Trace

SOON_S = 100.0
SHIPPED = Path(mm_edge.__file__).parent / "data"
TICKS = 2_000
GOLDEN_COPIES = 20  # of the check before the run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True)) as opened:
        yield opened


def words(text="the red ball"):
    return Script("text", [Capture(0, text)], ready=True, live=True)


def run(bundle, sources, engine, *, depth=2, trace=None, in_step=False):
    kept = Kept()
    config = RunConfig(loop=LoopConfig(depth=depth, workers=4), engine=EngineConfig(precision="fp32"))
    with Run(bundle, config, sources, [kept], engine=engine, trace=trace, in_step=in_step) as session:
        assert session.wait(SOON_S)
    kept.session = session
    return kept


def test_the_demo_gives_what_it_gives_on_the_cpu(driver, device):
    before = driver.counts()

    def play(engine):
        config = RunConfig(sources=SourcesConfig(take=str(SHIPPED / "demo"), speed="max"))
        with Bundle.open(SHIPPED / "scout.mmb") as scout:
            sources, _ = wire_sources(scout.manifest, config)
            kept = run(scout, sources, engine, in_step=True)
        kept.session.raise_error()
        return kept.predictions

    here, there = play(OnnxRuntimeEngine()), play(host_double(device))
    assert len(here) > 100
    assert [item.seq for item in there] == list(range(len(here)))
    for one, other in zip(here, there, strict=True):
        assert {name: (age.seq, age.state) for name, age in one.inputs.items()} == {
            name: (age.seq, age.state) for name, age in other.inputs.items()
        }
        assert one.outputs["command"]["label"] == other.outputs["command"]["label"]
        np.testing.assert_allclose(
            list(one.outputs["command"]["scores"].values()),
            list(other.outputs["command"]["scores"].values()),
            atol=1e-4,
        )
    assert driver.count("sync_copies") == driver.count("pageable_copies") == 0
    assert driver.counts() == before


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
@pytest.mark.parametrize("slow_ms", [0, 1])
def test_every_picture_gives_its_own_prediction_in_order(driver, device, bundle, depth, slow_ms):
    driver.slow_copies(slow_ms)
    kept = run(bundle, [Script("image", pictures(100)), words()], host_double(device), depth=depth)
    kept.session.raise_error()
    assert [item.seq for item in kept.predictions] == list(range(100))
    assert [round(item.outputs["seen"]["red"] * 255) for item in kept.predictions] == list(range(100))
    engine = kept.summary.engine
    assert engine["graphs"] == dict.fromkeys(("encode_image", "encode_audio", "encode_text", "fuse"), "captured")
    assert engine["device"].startswith("Test GPU")


def test_encoders_run_only_for_something_new_and_only_results_come_home(driver, device, bundle):
    engine = host_double(device)
    copies = driver.count("host_copies")
    kept = run(bundle, [Script("image", pictures(60)), Script("audio", sounds(22)), words()], engine)
    kept.session.raise_error()
    heard = {item.inputs["audio"].seq for item in kept.predictions if item.inputs["audio"].seq is not None}
    parts = engine._compiler.parts
    warm_ups = {name: part.computed for name, part in parts.items()}
    assert warm_ups["encode_image"] - 60 <= 8  # one for each slot
    assert warm_ups["encode_audio"] - len(heard) <= 8
    assert warm_ups["encode_text"] <= 1 + 8
    # In: each picture, sound and text once, and the presence. Out: the two results of each moment, and nothing else.
    assert driver.count("host_copies") - copies <= 60 * (2 + 2) + len(heard) + 1 + GOLDEN_COPIES


def test_two_thousand_ticks_leave_nothing_behind(driver, device, bundle):
    before = driver.counts()

    def tick():
        kept, engine = Counting(), host_double(device)
        config = RunConfig(loop=LoopConfig(depth=2, workers=3))
        with Run(bundle, config, [Script("image", pictures(TICKS)), words()], [kept], engine=engine) as session:
            at_start = driver.counts()
            assert session.wait(SOON_S)
            at_end = driver.counts()
        session.raise_error()
        assert kept.count == TICKS
        assert at_end == at_start

    tick()
    assert driver.counts() == before


class Counting(Kept):
    """Keeps the number alone."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def take(self, item):
        self.count += hasattr(item, "outputs")


def test_the_next_picture_is_computed_on_while_the_moment_before_is_fused(driver, device, bundle):
    meetings, kept = driver.count("meetings"), Kept()
    config = RunConfig(loop=LoopConfig(depth=2, workers=4), engine=EngineConfig(precision="fp32"))
    sources = [Script("image", pictures(1000)), words()]
    with Run(bundle, config, sources, [kept], engine=host_double(device)) as session:
        # An encoder that comes first waits for nobody who could come: only what is fused meets the next picture.
        while driver.count("meetings") == meetings and not session.wait(0.02):
            driver.meet("compute", "compute", within_ms=10)
        assert session.wait(SOON_S)
    session.raise_error()
    assert [item.seq for item in kept.predictions] == list(range(1000))
    assert driver.count("meetings") > meetings


def test_too_little_memory_makes_do_with_fewer_moments_in_flight(driver, device, bundle, caplog):
    with caplog.at_level(logging.WARNING):
        used = memory_used(driver, device, bundle, 2)
        driver.memory(used - 100)
        kept = run(bundle, [Script("image", pictures(20)), words()], host_double(device), depth=2)
    kept.session.raise_error()
    assert len(kept.predictions) == 20
    assert kept.summary.engine["depth"] == 1
    assert kept.summary.engine["fallbacks"] == [
        "1 instead of 2 moments in flight: cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY"
    ]
    assert "1 instead of 2 moments in flight" in caplog.text


def test_what_fewer_moments_do_not_need_is_given_back(driver, device, bundle):
    kinds = ("device_bytes", "pinned_bytes", "streams")
    needed = [memory_used(driver, device, bundle, 1, kind) for kind in kinds]
    driver.memory(memory_used(driver, device, bundle, 3) - 100)
    assert [memory_used(driver, device, bundle, 3, kind) for kind in kinds] > needed
    driver.memory(needed[0] + 100)
    assert [memory_used(driver, device, bundle, 3, kind) for kind in kinds] == needed


def memory_used(driver, device, bundle, depth, kind="device_bytes"):
    """Of a session at that depth, before it starts."""
    before = driver.counts()[kind]
    config = RunConfig(loop=LoopConfig(depth=depth))
    session = Run(bundle, config, [Script("image", pictures(1)), words()], [], engine=host_double(device))
    used = driver.counts()[kind] - before
    session.stop()
    return used


def test_where_even_one_moment_does_not_fit_auto_goes_on_to_the_next_engine(driver, device, bundle, monkeypatch):
    before = driver.counts()
    driver.memory(1000)
    opened = {"onnxruntime:cuda": lambda: host_double(device), "onnxruntime": OnnxRuntimeEngine}
    monkeypatch.setattr(select_engine, "why_not", lambda name: "" if name in opened else "not here")
    monkeypatch.setattr(select_engine, "open_engine", lambda config, *_: opened[config.name]())
    kept = Kept()
    with Run(bundle, RunConfig(), [Script("image", pictures(20)), words()], [kept]) as session:
        assert session.wait(SOON_S)
    session.raise_error()
    assert len(kept.predictions) == 20
    assert kept.summary.engine["engine"] == "onnxruntime"
    assert "CUDA_ERROR_OUT_OF_MEMORY" in kept.summary.engine["skipped_engines"]["onnxruntime:cuda"]
    driver.heal()
    assert driver.counts() == before


def test_a_named_engine_without_room_is_an_error_with_the_way_out(driver, device, bundle):
    driver.memory(1000)
    with pytest.raises(EngineError, match=r"CUDA_ERROR_OUT_OF_MEMORY.*try --set loop.depth=1"):
        Run(bundle, RunConfig(), [Script("image", pictures(1))], [], engine=host_double(device))


def test_the_trace_shows_when_the_device_computed(driver, device, bundle, tmp_path):
    path = tmp_path / "trace.json"
    trace = Trace(path)
    kept = run(bundle, [Script("image", pictures(50)), words()], host_double(device), trace=trace)
    kept.session.raise_error()
    trace.close()
    events = json.loads(path.read_text())["traceEvents"]
    lanes = {event["tid"]: event["args"]["name"] for event in events if event.get("name") == "thread_name"}
    spans = [event for event in events if event["ph"] == "X"]
    on_device = [event for event in spans if lanes[event["tid"]] == "GPU encode_image"]
    assert 40 <= len(on_device) <= 50
    ends = 0.0
    for event in sorted(on_device, key=lambda event: event["ts"]):
        assert event["ts"] >= ends - 1  # microseconds: one moment after the other
        ends = event["ts"] + event["dur"]
    on_host = [event for event in spans if event["name"] == "encode.image"]
    first = min(event["ts"] for event in on_host)
    last = max(event["ts"] + event["dur"] for event in spans)
    assert first - 1000 < min(event["ts"] for event in on_device)
    assert max(event["ts"] for event in on_device) < last + 1000


def test_the_trace_shows_each_copy_on_a_stream_of_its_own(driver, device, bundle, tmp_path):
    path = tmp_path / "trace.json"
    trace = Trace(path)
    driver.slow_copies(2)
    kept = run(bundle, [Script("image", pictures(30)), words()], host_double(device), trace=trace)
    kept.session.raise_error()
    driver.heal()
    trace.close()
    events = json.loads(path.read_text())["traceEvents"]
    lanes = {event["tid"]: event["args"]["name"] for event in events if event.get("name") == "thread_name"}
    spans = [(lanes[event["tid"]], event) for event in events if event["ph"] == "X"]
    copies = [(lane, event) for lane, event in spans if lane.startswith("GPU copies ")]
    pictures_in = [event["dur"] for lane, event in copies if "encode_image" in lane and event["name"] == "in"]
    assert len(pictures_in) >= 25  # the last of each slot may not be told
    assert min(pictures_in) >= 1900  # microseconds
    home = {lane.split()[2] for lane, event in copies if event["name"] == "home"}
    assert home == {"fuse"}
    for own in {lane for lane, _ in copies}:
        ends = 0.0
        for event in sorted((event for lane, event in copies if lane == own), key=lambda event: event["ts"]):
            assert event["ts"] >= ends - 100
            ends = event["ts"] + event["dur"]
