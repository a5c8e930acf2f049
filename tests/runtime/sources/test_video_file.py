"""Video files, with each decoder: every image, its time, its colors, and broken files."""

import threading
from contextlib import nullcontext
from functools import partial

import av
import cv2
import numpy as np
import pytest
from planar import natural
from playing import ManualPlayClock
from videos import encode, write_video

from mm_edge.errors import InputError, MissingExtraError
from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S
from mm_edge.runtime.picture import Planes
from mm_edge.runtime.sources.camera import choose_decoder
from mm_edge.runtime.sources.camera.choose_decoder import which_decoder
from mm_edge.runtime.sources.camera.video_file import VideoFile
from mm_edge.runtime.sources.play import PlayClock

BOTH = pytest.mark.parametrize("decoder", ["pyav", "opencv"])
H264 = {"crf": "10", "x264-params": "log-level=none"}


def played(path, decoder="pyav", speed="max", ends=None):
    """All captures, the times since the first, and the source, closed. `ends`: the error at the end."""
    source = VideoFile("image", path, ManualPlayClock(speed), decoder)
    source.open()
    captures = []
    with ends or nullcontext():
        while (capture := source.read()) is not None:
            captures.append(capture)
    figures = source.figures()
    source.close()
    return captures, [capture.t_ns - captures[0].t_ns for capture in captures], figures


def far(left, right):
    return np.abs(np.asarray(left).astype(float) - np.asarray(right)).mean()


@BOTH
def test_every_picture_of_a_video_comes_at_its_time(tmp_path, decoder):
    play = ManualPlayClock(start_ns=NS_PER_S)
    source = VideoFile("image", write_video(tmp_path / "camera.mp4"), play, decoder)
    for _ in range(2):  # played again it begins again
        opened = source.open()
        assert opened.detail.startswith("camera.mp4, 64x48 at 25 fps, 0.4 s, decoded by ")
        assert opened.period_ns == 40 * NS_PER_MS
        captures = []
        while (capture := source.read()) is not None:
            captures.append(capture)
        start_ns = captures[0].t_ns
        assert [capture.t_ns - start_ns for capture in captures] == [40 * k * NS_PER_MS for k in range(10)]
        assert [round(np.asarray(capture.payload).mean() / 20) for capture in captures] == list(range(10))
        assert {capture.shift_ns for capture in captures} == {0}
        assert source.figures()["unstamped"] == 0
        source.close()
    assert start_ns > NS_PER_S + 300 * NS_PER_MS


@BOTH
def test_pictures_that_are_let_go_are_read_into_again(tmp_path, decoder):
    source = VideoFile("image", write_video(tmp_path / "camera.mp4", count=60), ManualPlayClock("max"), decoder)
    source.open()
    places = set()
    while (capture := source.read()) is not None:
        picture = capture.payload.planes[0] if isinstance(capture.payload, Planes) else capture.payload
        places.add(picture.ctypes.data)
        del capture, picture
    assert len(places) <= 6  # the decoder looks back at a few
    source.close()


@BOTH
@pytest.mark.parametrize("content", [b"", b"not a video at all", b"\0\0\0\x18ftypmp42" + 200 * b"\0"])
def test_a_file_that_is_no_video_is_refused(tmp_path, decoder, content):
    (tmp_path / "camera.mp4").write_bytes(content)
    source = VideoFile("image", tmp_path / "camera.mp4", ManualPlayClock(), decoder)
    with pytest.raises(InputError, match="no images can be decoded"):
        source.open()
    source.close()


def test_pyav_is_used_if_installed_and_faster(monkeypatch):
    assert [which_decoder("auto", speed) for speed in ("max", "real")] == ["pyav", "opencv"]
    assert [which_decoder("pyav", "real"), which_decoder("opencv", "max")] == ["pyav", "opencv"]
    monkeypatch.setattr(choose_decoder, "find_spec", lambda _: None)
    assert which_decoder("auto", "max") == "opencv"
    with pytest.raises(MissingExtraError, match=r"mm-edge\[video\]"):
        which_decoder("pyav", "max")


@pytest.mark.parametrize(("cores", "real", "fast"), [(1, 1, 1), (2, 1, 1), (4, 2, 2), (16, 2, 4)])
def test_the_workers_keep_half_of_the_cores(tmp_path, monkeypatch, cores, real, fast):
    monkeypatch.setattr(choose_decoder, "usable_cores", lambda: cores)
    requested = []
    monkeypatch.setattr(
        "mm_edge.runtime.sources.camera.pyav_decoder.PyavDecoder",
        lambda path, threads: requested.append((path, threads)),
    )
    for speed in ("real", "max"):
        choose_decoder.open_decoder("pyav", tmp_path, speed)
    assert requested == [(tmp_path, real), (tmp_path, fast)]


@pytest.mark.parametrize(
    "form",
    [
        partial(encode, codec="mpeg4", qscale="2"),
        partial(encode, codec="mjpeg", layout="yuvj420p", full=True, qmin="2", qmax="2"),
        partial(encode, **H264),
        partial(encode, colorspace=1, full=False, **H264),
        partial(encode, colorspace=6, full=True, **H264),
        partial(encode, layout="yuv422p", **H264),
        partial(encode, layout="yuv444p", **H264),
    ],
    ids=["mpeg4", "mjpeg", "h264", "709", "601 full", "422", "444"],
)
def test_both_decoders_give_the_same_pictures(tmp_path, form):
    shown = [np.roll(natural(180, 322), 12 * number, axis=1) for number in range(4)]
    path = form(tmp_path / "camera.mkv", shown)
    ours, times, _ = played(path)
    theirs, same_times, _ = played(path, "opencv")
    assert times == same_times
    for one, other, true in zip(ours, theirs, shown, strict=True):
        assert isinstance(one.payload, Planes)
        assert one.payload.shape == true.shape
        np.testing.assert_array_equal(np.asarray(one.payload), other.payload)
        whole = mixed(one.payload)
        assert far(whole, other.payload) < 1.3  # FFmpeg's quick conversion is about a level too dark
        assert far(whole, true) <= far(other.payload, true) + 0.1


def mixed(picture):
    """The whole picture by the mixture that the preparer uses on the small one."""
    size = picture.shape[1::-1]
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST) for plane in picture.planes]
    return cv2.transform(cv2.merge(planes), picture.colours.bgr)


@pytest.mark.parametrize(
    ("codec", "layout"), [("ffv1", "gray"), ("ffv1", "yuv420p10le"), ("ffv1", "bgr0"), ("libvpx-vp9", "yuva420p")]
)
def test_other_layouts_are_given_as_bgr(tmp_path, codec, layout):
    shown = [natural(48, 66) if layout != "gray" else np.full((48, 66, 3), 99, np.uint8)] * 2
    (first, _), _, _ = played(encode(tmp_path / "camera.mkv", shown, codec=codec, layout=layout))
    assert np.asarray(first.payload).shape == (48, 66, 3)
    assert far(first.payload, shown[0]) < 6


def test_pictures_keep_their_own_time_where_it_is_uneven(tmp_path):
    ticks = [0, 40, 60, 200, 201, 500]
    path = encode(tmp_path / "camera.mkv", [natural(48, 64)] * 6, ticks=ticks, **H264)
    _, times, figures = played(path)
    assert times == [tick * NS_PER_MS for tick in ticks]
    assert figures["unstamped"] == 0


TURNED = {  # the matrix of a telephone's file, as 16.16 numbers, and what turns the picture alike
    cv2.ROTATE_90_CLOCKWISE: (0, 1, -1, 0),
    cv2.ROTATE_180: (-1, 0, 0, -1),
    cv2.ROTATE_90_COUNTERCLOCKWISE: (0, -1, 1, 0),
}


@BOTH
@pytest.mark.parametrize("turn", list(TURNED))
def test_a_file_that_was_filmed_sideways_is_turned(tmp_path, turn, decoder):
    shown = natural(96, 160)
    path = encode(tmp_path / "camera.mp4", [shown] * 3, **H264)
    film, (a, b, c, d) = path.read_bytes(), (number << 16 for number in TURNED[turn])
    words = [word.to_bytes(4, "big", signed=True) for word in (a, b, 0, c, d, 0, 0, 0, 1 << 30)]
    upright = b"".join(word.to_bytes(4, "big") for word in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    at = film.index(upright, film.index(b"tkhd"))
    path.write_bytes(film[:at] + b"".join(words) + film[at + len(upright) :])
    source = VideoFile("image", path, ManualPlayClock(), decoder)
    wanted = cv2.rotate(shown, turn)
    assert f"{wanted.shape[1]}x{wanted.shape[0]}" in source.open().detail
    picture = source.read().payload
    assert picture.shape == wanted.shape
    assert far(picture, wanted) < 4
    if decoder == "pyav":
        assert far(mixed(picture), wanted) < 4
    source.close()


def test_broken_packets_cost_their_pictures_alone(tmp_path):
    path = encode(tmp_path / "camera.mov", [natural(48, 64)] * 40, codec="png", layout="rgb24")
    film = bytearray(path.read_bytes())
    starts = [at for at in range(len(film)) if film[at : at + 4] == b"\x89PNG"]
    assert len(starts) == 40
    for number in (10, 11, 25):
        film[starts[number] : starts[number] + 40] = bytes(40)
    path.write_bytes(film)
    ends = pytest.raises(InputError, match=r"camera\.mov: 3 of 40 images could not be decoded")
    _, times, figures = played(path, ends=ends)
    assert times == [40 * number * NS_PER_MS for number in range(40) if number not in {10, 11, 25}]
    assert figures["undecoded"] == 3


def test_pictures_without_stamps_come_a_period_apart(tmp_path):
    path = encode(tmp_path / "camera.h264", [natural(48, 64)] * 8, bf="0", **H264)
    for decoder in ("pyav", "opencv"):
        captures, times, figures = played(path, decoder)
        assert len(captures) == 8
        assert times == sorted(set(times))
        assert figures["unstamped"] >= 7 or times == [40 * k * NS_PER_MS for k in range(8)]


def test_a_stream_may_change_its_size(tmp_path):
    path = tmp_path / "camera.mjpeg"
    sizes = [(48, 64)] * 3 + [(96, 128)] * 3
    path.write_bytes(b"".join(cv2.imencode(".jpg", natural(*size))[1].tobytes() for size in sizes))
    captures, _, _ = played(path)
    assert [capture.payload.shape[:2] for capture in captures] == sizes
    assert all(far(capture.payload, natural(*size)) < 6 for capture, size in zip(captures, sizes, strict=True))


def test_pictures_outlive_their_decoder(tmp_path):
    shown = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(12)]
    captures, _, _ = played(encode(tmp_path / "camera.mkv", shown, **H264))
    for number, capture in enumerate(captures):  # closed by now
        assert abs(np.asarray(capture.payload).mean() - 20 * number) < 5
        assert abs(mixed(capture.payload).mean() - 20 * number) < 3


def test_several_threads_look_at_one_picture(tmp_path):
    (capture, *_), _, _ = played(encode(tmp_path / "camera.mkv", [natural(240, 320)] * 3, **H264))
    wanted, wrong = capture.payload.bgr(), []

    def look():
        wrong.extend(1 for _ in range(40) if not np.array_equal(capture.payload.bgr(), wanted))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@BOTH
def test_a_read_that_waits_is_interrupted(tmp_path, decoder):
    play = PlayClock()
    source = VideoFile("image", write_video(tmp_path / "camera.mp4"), play, decoder)
    source.open()
    assert source.read() is not None
    play.pause()
    read = []
    reader = threading.Thread(target=lambda: read.append(source.read()))
    reader.start()
    source.interrupt()
    reader.join(10)
    assert read == [None]
    source.close()


def test_ffmpeg_prints_nothing(tmp_path, capfd):
    """By default it writes its own messages to the terminal."""
    path = write_video(tmp_path / "camera.mp4")
    path.write_bytes(path.read_bytes()[:-30])
    VideoFile("image", path, ManualPlayClock("max"), "pyav")
    assert av.logging.get_level() is None
    assert capfd.readouterr().err == ""
