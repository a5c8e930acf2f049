"""Samples from a take and from raw files are what the model sees at run time."""

import json
import wave
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from handmade_graphs import source_model
from onnx import ModelProto

from mm_edge.errors import InputError
from mm_edge.export.data.datasets import gather_dataset
from mm_edge.export.data.samples import read_samples, spread
from mm_edge.export.data.take import Ticks, read_take
from mm_edge.export.model import SourceModel
from mm_edge.export.recipe import Recipe
from mm_edge.sample import Event, Prediction
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    EmbeddingOutput,
    ImageInput,
    ImagePrepare,
    ModelSpec,
    Sync,
    TextInput,
    TextPrepare,
    VectorInput,
    VectorPrepare,
)

FRAMES, SIZE = 12, (48, 32)


@pytest.fixture
def take(tmp_path):
    """Frames that grow brighter, one a tenth of a second."""
    writer = cv2.VideoWriter(str(tmp_path / "camera.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, SIZE)
    for number in range(FRAMES):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 20 * number, np.uint8))
    writer.release()
    return tmp_path


def test_a_take_gives_a_feed_a_tick_through_the_runtimes_own_preparation(take):
    feeds = read_take(take, source_model(), FRAMES)
    assert len(feeds) == FRAMES
    assert feeds[0]["image"].shape == (1, 16, 24, 3)
    brightness = [float(feed["image"].mean()) for feed in feeds]
    assert brightness == sorted(brightness)
    assert brightness[-1] - brightness[0] > 150
    assert not feeds[0]["vector"].any()  # the take has none


def test_a_take_is_thinned_evenly(take):
    feeds = list(read_samples(take, source_model(), 4))
    assert len(feeds) == 4
    assert float(feeds[-1]["image"].mean()) - float(feeds[0]["image"].mean()) > 100


def test_only_ticks_that_may_be_used_are_kept_and_prepared():
    prepared = []
    ticks = Ticks(4, lambda prediction: prepared.append(prediction.seq) or {"seq": prediction.seq})
    most = 0
    for number in range(1000):
        ticks.take(Prediction(number, number, {}, {}, {}, deadline_missed=False, health="ok"))
        most = max(most, len(ticks.kept))
    kept = [feed["seq"] for feed in ticks.kept]
    assert ticks.seen == 1000
    assert most == 8
    assert 4 <= len(kept) <= 8
    assert len(prepared) < 50
    assert {b - a for a, b in pairwise(kept)} == {128}


def broken_take(folder, broken=4):
    """Pictures of which one cannot be read."""
    (folder / "camera").mkdir()
    for number in range(1, 8):
        cv2.imwrite(str(folder / "camera" / f"{number}.png"), np.full((SIZE[1], SIZE[0], 3), 20 * number, np.uint8))
    (folder / "camera" / f"{broken}.png").write_bytes(b"no picture")
    (folder / "text.jsonl").write_text("")
    return folder


def test_a_take_that_fails_on_the_way_is_an_error_that_says_how_far_it_was_read(tmp_path):
    with pytest.raises(InputError, match=r"4\.png.*not a readable image.*3 ticks were read until then"):
        list(read_samples(broken_take(tmp_path), source_model(), 8))


def test_a_tick_that_fails_in_the_engine_fails_the_take():
    ticks = Ticks(4, lambda prediction: {})
    ticks.take(Event(0, "camera", "ended"))
    assert not ticks.failure
    ticks.take(Event(0, "engine", "failed", "no memory"))
    assert ticks.failure == "engine: no memory"


def test_items_are_spread_evenly():
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(2), 5) == [0, 1]


@pytest.fixture
def raw_model():
    from fusion_models import tokenizer_json

    spec = ModelSpec(
        name="raw",
        inputs=(
            ImageInput("image", ImagePrepare((8, 8))),
            AudioInput("audio", AudioPrepare(8000, 800, 80)),
            TextInput("text", TextPrepare("tokenizer.json", 4, mask=True)),
            VectorInput("vector", VectorPrepare(3)),
        ),
        outputs=(EmbeddingOutput("out", {"values": "out"}),),
        sync=Sync("image"),
    )
    return SourceModel(spec, ModelProto(), lambda feed: feed, "made", files={"tokenizer.json": tokenizer_json()})


def write_raw(folder, rate=16_000):
    folder.mkdir()
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 200  # blue, as OpenCV counts
    cv2.imwrite(str(folder / "image.png"), picture)
    with wave.open(str(folder / "audio.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        tone = (8000 * np.sin(2 * np.pi * 200 * np.arange(rate // 2) / rate)).astype("<i2")
        file.writeframes(np.stack([tone, tone], axis=1).tobytes())
    (folder / "text.txt").write_text("w5 w7\n")
    np.save(folder / "vector.npy", np.array([1, 2, 3], np.float32))


def test_raw_files_are_prepared_as_at_run_time(tmp_path, raw_model):
    write_raw(tmp_path / "a")
    (feed,) = read_samples(tmp_path, raw_model, 8)
    assert feed["image"][0, 0, 0].tolist() == [0, 0, 200]  # RGB now
    assert feed["text"].tolist() == [[5, 7, 0, 0]]
    assert feed["text.mask"].tolist() == [[1, 1, 0, 0]]
    assert feed["audio"].shape == (1, 800)
    assert 0.2 < float(np.abs(feed["audio"]).max()) < 0.3  # 8000 of 32768, resampled from 16 kHz
    assert feed["vector"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("name", ["image.png", "audio.wav", "text.txt", "vector.npy"])
def test_a_missing_file_is_named(tmp_path, raw_model, name):
    write_raw(tmp_path / "a")
    (tmp_path / "a" / name).unlink()
    with pytest.raises(InputError, match=rf"'{name.split('.')[0]}'"):
        list(read_samples(tmp_path, raw_model, 8))


def test_a_pickle_in_an_archive_is_not_opened(tmp_path, raw_model):
    np.savez(tmp_path / "a.npz", image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="Arrays of plain numbers only"):
        list(read_samples(tmp_path, raw_model, 8))


def test_the_tokenizer_of_these_tests_is_json(raw_model):
    assert json.loads(raw_model.files["tokenizer.json"])["model"]["type"] == "WordLevel"


@pytest.mark.parametrize(("there", "calibrated", "spared", "unseen"), [(99, 8, 4, 3), (12, 8, 1, 3), (8, 6, 0, 2)])
def test_what_is_left_beside_calibration_and_proof_is_spared_for_the_searches(there, calibrated, spared, unseen):
    model = source_model()
    feeds = [feed for _, feed in zip(range(there), model.samples(there), strict=False)]
    model = replace(model, samples=lambda count: iter(feeds[:count]))
    data = gather_dataset(model, Recipe(samples=8, unseen=3))
    kinds = data.calibration, data.spare, data.unseen
    assert tuple(map(len, kinds)) == (calibrated, spared, unseen)
    assert [id(feed["image"]) for kind in kinds for feed in kind] == [
        id(feed["image"]) for feed in feeds[: calibrated + spared + unseen]
    ]
