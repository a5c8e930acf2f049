"""Images, tables and takes, from generated files."""

import json

import cv2
import numpy as np
import pytest
from playing import ManualPlayClock
from videos import write_video

from mm_edge.config import SourcesConfig
from mm_edge.errors import InputError, UsageError
from mm_edge.runtime.clock import NS_PER_S
from mm_edge.runtime.sources.camera.image_files import ImageFiles, pictures_at
from mm_edge.runtime.sources.take import open_take, stream_of
from mm_edge.runtime.sources.vector.table import read_table
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    ImageInput,
    ImagePrepare,
    TextInput,
    TextPrepare,
    VectorInput,
    VectorPrepare,
)

IMAGE = ImageInput("image", ImagePrepare((32, 32)))
AUDIO = AudioInput("audio", AudioPrepare(16000, 16000, 1600))
TEXT = TextInput("text", TextPrepare("t.json", 8))


def test_numbered_pictures_come_in_the_order_of_their_numbers(tmp_path):
    for number in (2, 10, 1):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 6, 3), number, np.uint8))
    (tmp_path / "x.png").write_bytes(b"")
    play = ManualPlayClock(start_ns=0)
    source = ImageFiles("image", tmp_path / "%d.png", 10.0, play)
    assert source.open().detail.endswith("3 images at 10 fps")
    captures = [source.read() for _ in range(4)]
    assert [int(capture.payload[0, 0, 0]) for capture in captures[:3]] == [1, 2, 10]
    assert [capture.t_ns for capture in captures[:3]] == [0, NS_PER_S // 10, NS_PER_S // 5]
    assert captures[3] is None


def test_a_folder_and_a_single_picture(tmp_path):
    (tmp_path / "note.txt").write_text("x")
    for name in ("b.jpg", "a.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    assert [file.name for file in pictures_at(tmp_path)] == ["a.png", "b.jpg"]
    assert pictures_at(tmp_path / "b.jpg") == [tmp_path / "b.jpg"]
    with pytest.raises(UsageError, match="no image found"):
        pictures_at(tmp_path / "%05d.jpg")


def test_a_broken_picture_is_named(tmp_path):
    (tmp_path / "0.png").write_bytes(b"broken")
    source = ImageFiles("image", tmp_path, None, ManualPlayClock())
    source.open()
    with pytest.raises(InputError, match=r"0\.png"):
        source.read()


def test_tables_of_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("x, t_ms, y\n1,0,2\n\n3,12.5,4\n")
    (tmp_path / "a.jsonl").write_text('{"t_ms": 0, "values": [1, 2]}\n{"t_ms": 12.5, "values": [3, 4]}\n')
    for name in ("a.csv", "a.jsonl"):
        table = read_table(tmp_path / name, 2)
        assert [(t_ns, row.tolist()) for t_ns, row in table] == [(0, [1, 2]), (12_500_000, [3, 4])]
        assert table[0][1].dtype == np.float32


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.csv", "", "no column t_ms"),
        ("a.csv", "x,y\n1,2\n", "no column t_ms"),
        ("a.csv", "t_ms,x,y\n0,1\n", "has 1 values"),
        ("a.csv", "t_ms,x,y\n0,1,b\n", "line 2"),
        ("a.csv", "t_ms,x,y\n-1,1,2\n", "found -1"),
        ("a.csv", "t_ms,x,y\nnan,1,2\n", "found nan"),
        ("a.csv", "t_ms,x,y\n5,1,2\n5,1,2\n", "line 3"),
        ("a.jsonl", '{"t_ms": 0, "values": [1]}', "has 1 values"),
        ("a.jsonl", '{"t_ms": 0, "values": "x"}', "line 1"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, name, content, found):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=found):
        read_table(tmp_path / name, 2)


@pytest.fixture
def take(tmp_path):
    write_video(tmp_path / "camera.mp4")
    (tmp_path / "text.jsonl").write_text(json.dumps({"t_ms": 0, "text": "red"}))
    return tmp_path


def test_a_take_maps_streams_to_inputs_and_omits_missing_ones(take):
    play = ManualPlayClock()
    sources = open_take(take, [IMAGE, AUDIO, TEXT], SourcesConfig(), play)
    assert {name: source.name for name, source in sources.items()} == {"image": "camera", "text": "text"}
    assert not any(source.live for source in sources.values())
    for source in sources.values():
        source.open()
    assert sources["text"].read().payload == "red"


def test_a_stream_named_after_its_input_has_priority(take):
    wrist = ImageInput("wrist", ImagePrepare((8, 8)))
    assert stream_of(take, wrist) == take / "camera.mp4"
    (take / "wrist").mkdir()
    assert stream_of(take, wrist) == take / "wrist"
    assert stream_of(take, VectorInput("arm", VectorPrepare(2))) is None
    (take / "arm.csv").write_text("")
    assert stream_of(take, VectorInput("arm", VectorPrepare(2))) == take / "arm.csv"


def test_a_folder_that_is_not_a_take_is_rejected(tmp_path):
    with pytest.raises(UsageError, match=r"no file for any input.*sound\.wav"):
        open_take(tmp_path, [AUDIO], SourcesConfig(), ManualPlayClock())
    with pytest.raises(UsageError, match="no such folder"):
        open_take(tmp_path / "x", [AUDIO], SourcesConfig(), ManualPlayClock())
