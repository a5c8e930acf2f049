"""The Python way in: one prediction, iteration, async iteration, callbacks, the text that can be set."""

import asyncio

import numpy as np
import pytest
from bundles import senses_bundle
from sources import Script, pictures

import mm_edge
from mm_edge.errors import InputError, UsageError
from mm_edge.runtime.session.live import Live
from mm_edge.runtime.session.wiring import by_options


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


@pytest.fixture
def scripted(path, monkeypatch):
    """A bundle whose camera gives forty pictures."""

    def wire(manifest, config):
        return [Script("image", pictures(40))], None

    monkeypatch.setattr("mm_edge.runtime.session.live.wire_sources", wire)
    return lambda **more: mm_edge.open(path, camera="scripted", **more)


def test_one_prediction_from_values_at_hand(path):
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:] = (255, 128, 0)  # BGR
    sound = np.full(16_000, 0.25, np.float32)
    with mm_edge.open(path) as live:
        first = live.predict(image=picture, audio=sound, text="the red ball")
        seen = first.outputs["seen"]
        assert (seen["red"], seen["blue"], seen["loudness"]) == pytest.approx((0, 1, 0.25), abs=1e-3)
        assert first.outputs["senses"] == {"image": 1.0, "audio": 1.0, "text": 1.0}
        again = live.predict(image=picture.copy(), audio=sound, text="the red ball")
    assert {name: age.state for name, age in again.inputs.items()} == {
        "image": "fresh",
        "audio": "held",
        "text": "held",
    }
    assert "encode.image" in again.latency_ms
    assert "encode.audio" not in again.latency_ms


def test_a_missing_value_is_masked(path):
    with mm_edge.open(path) as live:
        told = live.predict(text="go")
    assert told.outputs["senses"] == {"image": 0.0, "audio": 0.0, "text": 1.0}
    assert told.inputs["image"].state == "missing"


def test_values_by_a_wrong_name_are_refused_with_the_right_ones(path):
    with mm_edge.open(path) as live, pytest.raises(InputError, match="takes image, audio, text"):
        live.predict(picture=np.zeros((32, 32, 3), np.uint8))


def test_predictions_are_iterated_until_the_file_ends(scripted):
    with scripted() as live:
        reds = [round(prediction.outputs["seen"]["red"] * 255) for prediction in live]
    assert reds == sorted(reds)
    assert reds[-1] == 39
    assert live.summary.predictions == 40


def test_predictions_carry_the_samples_that_they_were_made_from(scripted):
    with scripted() as live:
        prediction = next(iter(live))
    frame = prediction.sources["image"].payload
    assert frame.mean() == pytest.approx(prediction.outputs["seen"]["red"] * 255)


def test_predictions_are_iterated_asynchronously(scripted):
    async def collect():
        with scripted() as live:
            return [prediction.seq async for prediction in live]

    told = asyncio.run(collect())
    assert told[-1] == 39


def test_a_function_is_called_with_each_prediction(scripted):
    told = []
    with scripted(on_prediction=told.append) as live:
        assert live.wait(20)
    assert [prediction.seq for prediction in told] == list(range(40))


def test_the_text_can_be_read_and_set(path):
    with mm_edge.open(path, mic="synthetic", text="stop") as live:
        assert live.text == "stop"
        predictions = iter(live)
        assert round(next(predictions).outputs["seen"]["words"] * 8) == 9
        live.text = "go"
        assert live.text == "go"
        assert any(round(prediction.outputs["seen"]["words"] * 8) == 10 for prediction in predictions)


def test_without_sources_there_is_nothing_to_iterate_over(path):
    with mm_edge.open(path) as live:
        assert isinstance(live, Live)
        with pytest.raises(UsageError, match="without sources"):
            next(iter(live))
        with pytest.raises(UsageError, match="0 inputs of this run take a text"):
            live.text = "go"


def test_options_that_the_bundle_has_no_input_for_are_refused(path):
    with mm_edge.open(path) as live:
        assert by_options(live.bundle.manifest, {"camera": ["0"]}) == {"image": "0"}
        assert by_options(live.bundle.manifest, {"camera": ["image=1"]}) == {"image": "1"}
        with pytest.raises(UsageError, match="feeding wrist"):
            mm_edge.open(path, inputs={"wrist": "0"})
