"""Files that break off or hold something unreadable: what is good is delivered, then an error names file and place."""

import os
import threading
import wave

import cv2
import numpy as np
import pytest
from playing import ManualPlayClock
from sources import END, Script
from videos import encode, write_video

from mm_edge.errors import InputError
from mm_edge.runtime.sources.camera.image_files import ImageFiles
from mm_edge.runtime.sources.camera.video_file import VideoFile
from mm_edge.runtime.sources.mic.wav import WavFile
from mm_edge.runtime.sources.reopen import reopen
from mm_edge.spec import AudioPrepare

COUNT = 30


def read_all(source):
    """How many captures came, and the error that ended them."""
    source.open()
    for count in range(10_000):
        try:
            if source.read() is None:
                return count, None
        except InputError as error:
            return count, str(error)
    raise AssertionError("it never ends")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Whole files, by suffix. An MP4 has its table at the front, as one that a server sends; noise needs many bytes."""
    folder = tmp_path_factory.mktemp("videos")
    noise = np.random.default_rng(0).integers(0, 255, (COUNT, 48, 64, 3), np.uint8)
    made = {suffix: encode(folder / f"whole.{suffix}", noise, codec="mpeg4") for suffix in ("avi", "mkv")}
    import av

    made["mp4"] = folder / "whole.mp4"
    with (
        av.open(str(made["mkv"])) as source,
        av.open(str(made["mp4"]), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return made


@pytest.mark.parametrize("decoder", ["opencv", "pyav"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_that_breaks_off_is_played_up_to_there(videos, tmp_path, suffix, decoder):
    content = videos[suffix].read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: len(content) * 2 // 3])
    count, error = read_all(VideoFile("image", tmp_path / f"cut.{suffix}", ManualPlayClock(), decoder))
    assert COUNT // 3 < count < COUNT
    assert f"cut.{suffix}: the file breaks off after image {count}, at 0." in error


@pytest.mark.parametrize("decoder", ["opencv", "pyav"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_whole_video_does_not_break_off(videos, suffix, decoder):
    assert read_all(VideoFile("image", videos[suffix], ManualPlayClock(), decoder)) == (COUNT, None)


@pytest.mark.parametrize("decoder", ["opencv", "pyav"])
def test_a_video_cut_off_anywhere_in_its_tables_is_unreadable(tmp_path, decoder):
    """OpenCV writes the tables of an MP4 at its end: without them, no image can be found."""
    content = write_video(tmp_path / "a.mp4", 5).read_bytes()
    path = tmp_path / "cut.mp4"
    for end in range(content.index(b"moov"), len(content) - 200, 16):
        path.write_bytes(content[:end])
        with pytest.raises(InputError):
            VideoFile("image", path, ManualPlayClock(), decoder).open()


@pytest.mark.parametrize("appended", [b"\0" * 64, b"anything, and no box"])
def test_data_behind_a_video_is_no_fault(tmp_path, appended):
    path = write_video(tmp_path / "a.mp4", 5)
    path.write_bytes(path.read_bytes() + appended)
    assert read_all(VideoFile("image", path, ManualPlayClock(), "opencv")) == (5, None)


def test_an_unreadable_picture_ends_a_sequence_after_the_good_ones(tmp_path):
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "3.png").write_bytes(b"broken")
    count, error = read_all(ImageFiles("image", tmp_path, None, ManualPlayClock()))
    assert count == 3
    assert "3.png: image 4 of 5 is not a readable image" in error


@pytest.mark.parametrize("decoder", ["opencv", "pyav"])
@pytest.mark.parametrize("damage", [0.1, 0.2])
def test_damage_inside_a_whole_container_is_reported_after_the_other_pictures(videos, tmp_path, decoder, damage):
    content = bytearray(videos["mp4"].read_bytes())
    start, length = len(content) * 2 // 5, int(len(content) * damage)
    content[start : start + length] = bytes(length)
    (tmp_path / "a.mp4").write_bytes(content)
    count, error = read_all(VideoFile("image", tmp_path / "a.mp4", ManualPlayClock(), decoder))
    assert 0 < count < COUNT
    assert f"a.mp4: {COUNT - count} of {COUNT} images could not be decoded" in error


def test_pictures_that_the_container_itself_leaves_out_are_not_missed(videos, tmp_path):
    """A file that was cut without encoding it again begins at an image before the cut, which is not to be shown."""
    import av

    with av.open(str(videos["mp4"])) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                packet.pts, packet.dts = packet.pts - 5 * packet.duration, packet.dts - 5 * packet.duration
                target.mux(packet)
    for decoder in ("opencv", "pyav"):
        count, error = read_all(VideoFile("image", tmp_path / "cut.mp4", ManualPlayClock(), decoder))
        assert (count <= COUNT, error) == (True, None)


def _noise_jpeg():
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_jpeg_that_breaks_off_is_no_grey_picture(tmp_path, share):
    whole = _noise_jpeg()
    (tmp_path / "0.jpg").write_bytes(whole)
    (tmp_path / "1.jpg").write_bytes(whole[: int(len(whole) * share)])
    count, error = read_all(ImageFiles("image", tmp_path, None, ManualPlayClock()))
    assert count == 1
    assert "1.jpg: image 2 of 2 is not a readable image" in error


def test_data_behind_a_jpeg_and_a_thumbnail_inside_are_no_fault(tmp_path):
    whole = _noise_jpeg()
    thumbnail = b"\xff\xe1" + (len(whole) + 2).to_bytes(2, "big") + whole
    (tmp_path / "0.jpg").write_bytes(whole + b"\0" * 64)
    (tmp_path / "1.jpg").write_bytes(whole[:2] + thumbnail + whole[2:])
    (tmp_path / "2.jpg").write_bytes((whole[:2] + thumbnail + whole[2:])[: -len(whole) // 4])
    count, error = read_all(ImageFiles("image", tmp_path, None, ManualPlayClock()))
    assert count == 2
    assert "2.jpg: image 3 of 3 is not a readable image" in error


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    (tmp_path / "0.png").write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    os.mkfifo(tmp_path / "1.png")
    count, error = read_all(ImageFiles("image", tmp_path, None, ManualPlayClock()))
    assert count == 1
    assert "1.png: image 2 of 2 is not a readable image" in error


def test_a_sound_file_that_breaks_off_is_played_up_to_there(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(32_000))
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[: 44 + 16_000])
    count, error = read_all(
        WavFile("audio", tmp_path / "a.wav", AudioPrepare(16_000, 16_000, 1_600), ManualPlayClock())
    )
    assert count == 5
    assert "a.wav: the file breaks off at 0.50 s: it has 16,000 of 32,000 bytes of sound" in error


def test_a_broken_stream_ends_a_repeated_take_for_the_others_too():
    broken, whole = reopen([Script("audio", [InputError("it is broken")]), Script("image", [END])])
    others = threading.Thread(target=whole.read, daemon=True)
    others.start()
    with pytest.raises(InputError):
        broken.read()
    others.join(10)
    assert not others.is_alive()
