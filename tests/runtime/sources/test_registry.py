"""The grammar of SPECs: every form, every error, plug-ins."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from mm_edge.config import SourcesConfig
from mm_edge.errors import UsageError
from mm_edge.runtime.sources import registry
from mm_edge.runtime.sources.camera.image_files import ImageFiles
from mm_edge.runtime.sources.camera.stream import StreamCamera
from mm_edge.runtime.sources.camera.synthetic import SyntheticCamera
from mm_edge.runtime.sources.camera.v4l2 import V4l2Camera
from mm_edge.runtime.sources.camera.video_file import VideoFile
from mm_edge.runtime.sources.mic.device import Microphone
from mm_edge.runtime.sources.mic.synthetic import SyntheticMic
from mm_edge.runtime.sources.mic.wav import WavFile
from mm_edge.runtime.sources.played_list import PlayedList
from mm_edge.runtime.sources.registry import open_source
from mm_edge.runtime.sources.text.lines import TextLines
from mm_edge.runtime.sources.text.literal import LiteralText
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    ImageInput,
    ImagePrepare,
    TextInput,
    TextPrepare,
    VectorInput,
    VectorPrepare,
    VideoInput,
    VideoPrepare,
)

INPUTS = {
    "image": ImageInput("image", ImagePrepare((32, 32))),
    "video": VideoInput("film", VideoPrepare((32, 32), 4)),
    "audio": AudioInput("audio", AudioPrepare(16000, 16000, 1600)),
    "text": TextInput("text", TextPrepare("t.json", 8)),
    "vector": VectorInput("arm", VectorPrepare(2)),
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def opened(spec, modality):
    return open_source(spec, INPUTS[modality], SourcesConfig())


@pytest.mark.parametrize(
    ("modality", "spec", "kind", "live"),
    [
        ("image", "0", V4l2Camera, True),
        ("image", "/dev/video3", V4l2Camera, True),
        ("image", "/dev/v4l/by-id/usb-cam-index0", V4l2Camera, True),
        ("image", "rtsp://user:secret@host/stream", StreamCamera, True),
        ("image", "http://host/x.mjpg", StreamCamera, True),
        ("image", "csi://0", StreamCamera, True),
        ("image", "gst:videotestsrc ! identity", StreamCamera, True),
        ("image", "synthetic", SyntheticCamera, True),
        ("video", "synthetic", SyntheticCamera, True),
        ("image", "FILE.MP4", VideoFile, False),
        ("image", "pictures/%05d.jpg", ImageFiles, False),
        ("image", "pictures/", ImageFiles, False),
        ("audio", "default", Microphone, True),
        ("audio", "2", Microphone, True),
        ("audio", "USB Microphone", Microphone, True),
        ("audio", "synthetic", SyntheticMic, True),
        ("audio", "sound.wav", WavFile, False),
        ("text", "the red ball", LiteralText, True),
        ("text", "", LiteralText, True),
        ("text", "none", LiteralText, True),
        ("text", "two\nlines", LiteralText, True),
        ("text", "-", TextLines, True),
        ("vector", "arm.csv", PlayedList, False),
    ],
)
def test_every_form_finds_its_source(modality, spec, kind, live):
    Path("pictures").mkdir()
    for name in ("FILE.MP4", "sound.wav", "arm.csv", "pictures/00001.jpg"):
        Path(name).touch()
    source = opened(spec, modality)
    assert type(source) is kind
    assert source.live is live
    assert source.input == INPUTS[modality].name
    assert source.name == {"image": "camera", "video": "camera", "audio": "mic", "text": "text"}.get(modality, "sensor")
    assert source.figures() is not None  # before it is opened
    source.close()  # likewise


@pytest.mark.parametrize("modality", ["image", "video", "audio", "vector"])
def test_none_is_no_source(modality):
    assert opened("none", modality) is None


@pytest.mark.parametrize(
    ("modality", "spec", "found"),
    [
        ("image", "nonsense", "'nonsense' is not a valid image source.*Use one of: 0 .*rtsp://"),
        ("image", "missing.mp4", "no such file"),
        ("image", "missing/%d.png", "no image found"),
        ("image", "", "'' is not a valid image source"),
        ("audio", "missing.wav", "no such file"),
        ("audio", "music.mp3", "only WAV files are supported"),
        ("vector", "5", "not a valid vector source"),
    ],
)
def test_an_invalid_spec_is_rejected_with_one_message(modality, spec, found):
    with pytest.raises(UsageError, match=found):
        opened(spec, modality)


def made_by_plug_in(request):
    return request


def test_plug_ins_are_found_by_their_name_and_get_the_rest(monkeypatch):
    ours = EntryPoint("ros", f"{__name__}:made_by_plug_in", registry.PLUG_INS)
    monkeypatch.setattr(EntryPoint, "load", lambda _: made_by_plug_in)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **params: EntryPoints([ours]).select(**params))
    request = opened("ros:/camera/image_raw", "image")
    assert (request.rest, request.input, request.spec) == (
        "/camera/image_raw",
        INPUTS["image"],
        "ros:/camera/image_raw",
    )
    assert opened("ros", "text").rest == ""
    with pytest.raises(UsageError, match="ros:…"):
        opened("nonsense", "image")
