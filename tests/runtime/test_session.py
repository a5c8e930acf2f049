"""The Python interface: one prediction, iteration, async iteration, callbacks, setting the text, and mm_edge.open."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bundles import senses_bundle
from sources import Script, pictures

import mm_edge
from mm_edge.errors import InputError, UsageError
from mm_edge.runtime.engines.stub import StubEngine
from mm_edge.runtime.session.predict import Predictor
from mm_edge.runtime.session.session import Session
from mm_edge.runtime.session.wiring import by_options
from mm_edge.shipped import demo_take


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


@pytest.fixture
def scripted(path, monkeypatch):
    """A bundle whose camera gives forty pictures."""

    def wire(manifest, config, own):
        return [Script("image", pictures(40))], None

    monkeypatch.setattr("mm_edge.runtime.session.open.wire_sources", wire)
    return lambda **more: mm_edge.open(path, camera="scripted", **more)


def test_one_prediction_from_values_at_hand(path):
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:] = (255, 128, 0)  # BGR
    sound = np.full(16_000, 0.25, np.float32)
    with mm_edge.open(path) as session:
        first = session.predict(image=picture, audio=sound, text="the red ball")
        seen = first.outputs["seen"]
        assert (seen["red"], seen["blue"], seen["loudness"]) == pytest.approx((0, 1, 0.25), abs=1e-3)
        assert first.outputs["senses"] == {"image": 1.0, "audio": 1.0, "text": 1.0}
        again = session.predict(image=picture // 2, audio=sound, text="the red ball")
    assert {name: age.state for name, age in again.inputs.items()} == {
        "image": "fresh",
        "audio": "held",
        "text": "held",
    }
    assert "encode.image" in again.latency_ms
    assert "encode.audio" not in again.latency_ms


def test_a_missing_value_is_masked(path):
    with mm_edge.open(path) as session:
        told = session.predict(text="go")
    assert told.outputs["senses"] == {"image": 0.0, "audio": 0.0, "text": 1.0}
    assert told.inputs["image"].state == "missing"


def test_values_by_a_wrong_name_are_refused_with_the_right_ones(path):
    with mm_edge.open(path) as session, pytest.raises(InputError, match="inputs are image, audio, text"):
        session.predict(picture=np.zeros((32, 32, 3), np.uint8))


def test_predictions_are_iterated_until_the_file_ends(scripted):
    with scripted() as session:
        reds = [round(prediction.outputs["seen"]["red"] * 255) for prediction in session]
    assert reds == sorted(reds)
    assert reds[-1] == 39
    assert session.summary.predictions == 40


def test_predictions_carry_the_samples_that_they_were_made_from(scripted):
    with scripted() as session:
        prediction = next(iter(session))
    frame = prediction.sources["image"].payload
    assert frame.mean() == pytest.approx(prediction.outputs["seen"]["red"] * 255)


def test_predictions_are_iterated_asynchronously(scripted):
    async def collect():
        with scripted() as session:
            return [prediction.seq async for prediction in session]

    told = asyncio.run(collect())
    assert told[-1] == 39


def test_a_function_is_called_with_each_prediction(scripted):
    told = []
    with scripted(on_prediction=told.append) as session:
        assert session.wait(20)
    assert [prediction.seq for prediction in told] == list(range(40))


def test_the_text_can_be_read_and_set(path):
    with mm_edge.open(path, mic="synthetic", text="stop") as session:
        assert session.text == "stop"
        predictions = iter(session)
        assert round(next(predictions).outputs["seen"]["words"] * 8) == 9
        session.text = "go"
        assert session.text == "go"
        assert any(round(prediction.outputs["seen"]["words"] * 8) == 10 for prediction in predictions)


def test_without_sources_there_is_nothing_to_iterate_over(path):
    with mm_edge.open(path) as session:
        assert isinstance(session, Session)
        with pytest.raises(UsageError, match="without sources"):
            next(iter(session))
        with pytest.raises(UsageError, match="0 inputs of this session have a text"):
            session.text = "go"


def test_options_that_the_bundle_has_no_input_for_are_refused(path):
    with mm_edge.open(path) as session:
        assert by_options(session.bundle.manifest, {"camera": ["0"]}) == {"image": "0"}
        assert by_options(session.bundle.manifest, {"camera": ["image=1"]}) == {"image": "1"}
        with pytest.raises(UsageError, match="feeding wrist"):
            mm_edge.open(path, inputs={"wrist": "0"})


ENTER = r"with mm_edge\.open\(\.\.\.\) as session:"


def test_a_session_that_was_not_entered_says_how_to_enter_it(scripted):
    session = scripted()
    with pytest.raises(UsageError, match=ENTER):
        iter(session)
    with pytest.raises(UsageError, match=ENTER):
        session.__aiter__()
    with pytest.raises(UsageError, match=ENTER):
        session.wait(1)
    session.close()


def test_a_session_runs_once(scripted):
    with scripted() as session:
        assert session.wait(20)
    with pytest.raises(UsageError, match="A session runs once"), session:
        pass


def test_without_a_bundle_the_one_that_ships_is_opened():
    with mm_edge.open() as session:
        assert session.bundle.manifest.name == "scout"


def test_a_bundle_that_is_given_stays_open(path):
    with mm_edge.Bundle.open(path) as bundle:
        for _ in range(2):
            with mm_edge.open(bundle) as session:
                assert session.bundle is bundle
                assert session.predict(text="go").outputs["senses"]["text"] == 1.0


def test_a_bundle_that_is_given_stays_open_when_its_sources_are_wrong(path):
    with mm_edge.Bundle.open(path) as bundle:
        with pytest.raises(UsageError, match="feeding wrist"):
            mm_edge.open(bundle, inputs={"wrist": "0"})
        assert bundle.read(bundle.manifest.parts[0].artefacts["fp32"].file)


def test_finish_ends_a_live_run(path):
    with mm_edge.open(path, mic="synthetic", text="stop") as session:
        next(iter(session))
        session.finish()
        assert session.wait(20)
    assert session.summary.predictions > 0


def test_a_failed_prediction_does_not_spoil_the_next_one(path):
    picture = np.full((32, 32, 3), 8, np.uint8)
    with mm_edge.open(path) as session:
        first = session.predict(image=picture, text="go")
        with pytest.raises(InputError):
            session.predict(image=picture, text=3)
        again = session.predict(image=picture, text="go")
    assert again.outputs == first.outputs


class ClosedEngine(StubEngine):
    """A stub that counts how often it was closed."""

    closed = 0

    def close(self):
        self.closed += 1


def test_sources_of_the_caller_feed_their_inputs(path):
    with mm_edge.open(path, sources={"image": Script("image", pictures(5))}, text="go") as session:
        states = {prediction.inputs["image"].state for prediction in session}
    assert session.summary.predictions == 5
    assert states == {"fresh"}


def test_an_own_source_replaces_that_of_a_take(path):
    mine = Script("text", live=True)
    with mm_edge.open(path, take=demo_take(), sources={"text": mine}) as session:
        next(iter(session))
    assert mine.opened == mine.closed == 1
    assert session.summary.captured["text"] == 0 < session.summary.captured["image"]


def test_own_sources_that_do_not_fit_are_refused(path):
    with pytest.raises(UsageError, match="feeding wrist"):
        mm_edge.open(path, sources={"wrist": Script("wrist")})
    with pytest.raises(UsageError, match="its `input` is 'audio'"):
        mm_edge.open(path, sources={"image": Script("audio")})
    with pytest.raises(UsageError, match="'synthetic' feeds it already"):
        mm_edge.open(path, camera="synthetic", sources={"image": Script("image")})


def test_an_engine_of_the_caller_runs_the_parts_and_is_closed(path):
    engine = ClosedEngine()
    with mm_edge.open(path, sources={"image": Script("image", pictures(3))}, engine=engine) as session:
        assert session.wait(20)
    assert session.summary.engine["engine"] == "stub"
    assert engine.closed == 1


def test_an_engine_of_the_caller_predicts_from_values_at_hand(path):
    engine = ClosedEngine()
    with mm_edge.open(path, engine=engine) as session:
        assert session.predict(text="go").outputs["senses"] == {"image": 0.0, "audio": 0.0, "text": 0.0}
        assert not engine.closed
    assert engine.closed == 1


def test_one_engine_is_not_shared_by_a_run_and_predict(path):
    with (
        mm_edge.open(path, mic="synthetic", engine=StubEngine()) as session,
        pytest.raises(UsageError, match="Open a second session"),
    ):
        session.predict(text="go")


def test_a_given_engine_and_a_configured_one_contradict(path):
    with pytest.raises(UsageError, match="the configuration requests 'openvino'"):
        mm_edge.open(path, settings=["engine.name=openvino"], engine=StubEngine())


def test_a_buffer_that_is_filled_again_gives_a_new_answer(path):
    picture, sound = np.zeros((32, 32, 3), np.uint8), np.zeros(16_000, np.float32)
    with mm_edge.open(path) as session:
        session.predict(image=picture, audio=sound)
        picture[:], sound[:] = 255, 0.5
        told = session.predict(image=picture, audio=sound)
        assert told.outputs["seen"]["red"] == pytest.approx(1)
        assert told.outputs["seen"]["loudness"] == pytest.approx(0.5)
        assert {told.inputs[name].state for name in ("image", "audio")} == {"fresh"}
        picture[0, 0] = 0
        one_pixel = session.predict(image=picture, audio=sound)
        assert one_pixel.outputs["seen"]["red"] == pytest.approx(1023 / 1024)


def test_a_large_array_is_neither_kept_nor_compared(path):
    picture = np.zeros((720, 1280, 3), np.uint8)
    with mm_edge.open(path) as session:
        states = [session.predict(image=picture).inputs["image"].state for _ in range(2)]
    assert states == ["fresh", "fresh"]


def test_equal_content_is_not_computed_again_whoever_owns_it(path):
    with mm_edge.open(path) as session:
        session.predict(image=np.full((32, 32, 3), 9, np.uint8), text="go")
        again = session.predict(image=np.full((32, 32, 3), 9, np.uint8), text="go")
        other = session.predict(image=np.full((16, 64, 3), 9, np.uint8))
    assert (again.inputs["image"].state, again.inputs["text"].state) == ("held", "held")
    assert "encode.image" not in again.latency_ms
    assert other.inputs["image"].state == "fresh"


def test_nothing_but_none_is_no_value(path):
    with mm_edge.open(path) as session, pytest.raises(InputError, match="without any value"):
        session.predict(image=None, text=None)


def test_a_text_after_an_array_of_the_same_input_is_refused(path):
    with mm_edge.open(path) as session:
        session.predict(image=np.zeros((32, 32, 3), np.uint8))
        with pytest.raises(InputError, match="got str"):
            session.predict(image="a path")


def test_a_sound_beyond_float32_is_refused_without_a_warning(path):
    with mm_edge.open(path) as session, pytest.raises(InputError, match="not finite"):
        session.predict(audio=np.full(16_000, 1e300))


def test_a_kept_value_is_not_the_buffer_of_the_caller(path):
    picture = np.zeros((32, 32, 3), np.uint8)
    with mm_edge.open(path) as session:
        session.predict(image=picture)
        kept = session._predictor._given["image"][1].payload
        picture[:] = 255
        assert not kept.any()


def test_a_closed_session_predicts_no_more(path):
    session = mm_edge.open(path)
    session.predict(text="go")
    predictor = session._predictor
    session.close()
    with pytest.raises(UsageError, match="the session is closed"):
        session.predict(text="go")
    with pytest.raises(UsageError, match="the session was closed"):
        predictor.predict({"text": "go"})


def test_threads_that_predict_first_share_one_engine(path, monkeypatch):
    loaded = []
    load = Predictor.load

    def slow_load(*given):
        time.sleep(0.05)
        loaded.append(load(*given))
        return loaded[-1]

    monkeypatch.setattr(Predictor, "load", slow_load)
    with mm_edge.open(path) as session, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: session.predict(text="go"), range(4)))
    assert len(loaded) == 1
