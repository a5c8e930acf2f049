"""Cameras: requested and actual modes, timestamps, and every measured failure."""

import os
import shutil

import cv2
import pytest
from fake_video import FakeVideo

from mm_edge.config import CameraConfig
from mm_edge.errors import DeviceError, SourceLostError
from mm_edge.runtime.clock import NS_PER_MS, NS_PER_S, ManualClock
from mm_edge.runtime.sources.camera import gstreamer, network, nodes, v4l2
from mm_edge.runtime.sources.camera.kernel_stamps import KernelStamps
from mm_edge.runtime.sources.camera.mode import Mode, negotiate
from mm_edge.runtime.sources.camera.stream import StreamCamera
from mm_edge.runtime.sources.camera.v4l2 import V4l2Camera

START_NS = 1000 * NS_PER_S
WEBCAM = {"YUYV": [(640, 480, 30), (1280, 720, 10)], "MJPG": [(640, 480, 30), (1280, 720, 30), (1920, 1080, 30)]}
AS_IT_IS = CameraConfig()
RAW_ONLY = {"YUYV": [(640, 480, 25), (1280, 720, 12.5)]}


@pytest.fixture
def clock():
    return ManualClock(START_NS)


@pytest.fixture
def plug(monkeypatch, clock):
    """Connects a fake camera; returns the source for it and the camera."""

    def connect(config=AS_IT_IS, *, modes=WEBCAM, **behaviour):
        videos = []

        def make(*_):
            videos.append(FakeVideo(clock, modes=modes, **behaviour))
            return videos[-1]

        monkeypatch.setattr(cv2, "VideoCapture", make)
        monkeypatch.setattr(v4l2, "refuse_unusable", lambda _: None)
        monkeypatch.setattr(nodes, "holders_of", lambda _: [])
        monkeypatch.setattr(nodes, "camera_nodes", lambda: [nodes.CameraNode("/dev/video2", "HD Webcam")])
        return V4l2Camera("image", "/dev/video0", config, clock), videos

    return connect


# --- mode


@pytest.mark.parametrize(
    ("modes", "requested", "given"),
    [
        (WEBCAM, CameraConfig(), "640x480 YUYV at 30 fps"),
        (WEBCAM, CameraConfig(width=1280, height=720, fps=30), "1280x720 MJPG at 30 fps"),
        (WEBCAM, CameraConfig(width=1280, height=720, fps=10), "1280x720 MJPG at 30 fps"),
        (WEBCAM, CameraConfig(width=4000, height=3000), "1920x1080 MJPG at 30 fps"),
        (RAW_ONLY, CameraConfig(width=1280, height=720), "1280x720 YUYV at 12.5 fps"),
        (RAW_ONLY, CameraConfig(width=1920, height=1080, fps=30), "1280x720 YUYV at 12.5 fps"),
        ({"YUYV": [(640, 480, 30)], "MJPG": [(640, 480, 15)]}, CameraConfig(fps=30), "640x480 YUYV at 30 fps"),
        ({"MJPG": [(640, 480, 20)], "YUYV": [(640, 480, 15)]}, CameraConfig(fps=30), "640x480 MJPG at 20 fps"),
    ],
)
def test_the_mode_is_read_back_from_the_camera(clock, modes, requested, given):
    video = FakeVideo(clock, modes=modes)
    mode = negotiate(video, requested)
    assert str(mode) == given
    assert (mode.width, mode.height, mode.fourcc) == (video.width, video.height, video.fourcc)


def test_a_camera_without_a_frame_rate(clock):
    assert str(negotiate(FakeVideo(clock, modes={"YUYV": [(640, 480, 0)]}), CameraConfig())) == "640x480 YUYV"
    assert Mode(1, 1, 0.0, "YUYV").fps == 0


def test_requested_and_actual_mode_are_both_reported(plug):
    source, _ = plug(CameraConfig(width=1920, height=1080, fps=60), modes=RAW_ONLY)
    opened = source.open()
    assert "1280x720 YUYV at 12.5 fps (requested 1920x1080 at 60 fps)" in opened.detail
    assert opened.period_ns == 80 * NS_PER_MS


# --- stamps


def test_a_plausible_kernel_timestamp_is_used_with_the_offset(plug):
    source, _ = plug(CameraConfig(offset_ms=-20))
    assert "stamped by the kernel" in source.open().detail
    first, second = source.read(), source.read()
    assert first.t_ns == START_NS + (10 - 5 - 20) * NS_PER_MS
    assert second.t_ns == first.t_ns + 10 * NS_PER_MS


@pytest.mark.parametrize(
    ("stamp_ms", "why"),
    [
        (lambda now_ms: now_ms + 36, "36.0 ms in the future"),
        (lambda now_ms: now_ms - 29_000, "29.0 s old"),
        (lambda _: 0.0, "sets no timestamp"),
        (lambda now_ms: now_ms - 1000.001, "1.0 s old"),
    ],
)
def test_an_implausible_timestamp_is_replaced_by_the_arrival_time_and_reported(plug, clock, caplog, stamp_ms, why):
    source, _ = plug(stamp_ms=lambda: stamp_ms(clock.now_ns() / NS_PER_MS))
    with caplog.at_level("WARNING", "mm_edge"):
        opened = source.open()
    assert not caplog.text  # once is enough
    assert "stamped at arrival" in opened.detail
    assert why in opened.detail
    assert source.read().t_ns == START_NS + 10 * NS_PER_MS


def test_a_stuck_timestamp_is_rejected_for_good():
    stamps = KernelStamps()
    assert stamps.stamp(995.0, 1000 * NS_PER_MS) == 995 * NS_PER_MS
    assert stamps.stamp(995.0, 1010 * NS_PER_MS) == 1010 * NS_PER_MS
    assert "does not advance" in stamps.refused
    assert stamps.stamp(1015.0, 1020 * NS_PER_MS) == 1020 * NS_PER_MS
    assert stamps.stamp(1025.0, 1020 * NS_PER_MS) == 1020 * NS_PER_MS + 1  # and time still advances


def test_a_later_rejection_is_logged_once(plug, clock, caplog):
    ahead = [0.0]
    source, _ = plug(stamp_ms=lambda: clock.now_ns() / NS_PER_MS - 5 + ahead[0])
    source.open()
    source.read()
    ahead[0] = 40.0
    with caplog.at_level("WARNING", "mm_edge"):
        for _ in range(3):
            source.read()
    assert caplog.text.count("stamped at arrival from now on") == 1


# --- faults


def test_an_unplugged_camera_is_lost_at_once_and_can_be_opened_again(plug):
    source, videos = plug(script=["ok", "ok", "gone"])
    source.open()
    source.read()
    source.read()
    with pytest.raises(SourceLostError, match="unplugged"):
        source.read()
    assert videos[0].isOpened()  # which is why it is not asked
    source.close()
    assert videos[0].released
    videos.clear()
    source.open()
    assert source.read().payload.shape == (480, 640, 3)


def test_a_short_stall_is_tolerated_and_a_long_one_is_a_loss(plug, clock):
    source, _ = plug(script=["ok", "stall", "ok", "stall", "stall", "stall"])
    source.open()
    source.read()
    assert source.read() is not None
    before = clock.now_ns()
    with pytest.raises(SourceLostError, match="no image for 2000 ms"):
        source.read()
    assert clock.now_ns() - before == 2 * NS_PER_S


def test_an_interrupt_ends_the_wait_for_a_stalled_camera(plug, clock):
    source, videos = plug(script=["ok"])
    source.open()
    source.read()
    grab = videos[0].grab

    def stalled():
        source.interrupt()
        videos[0].script = ["stall"]
        return grab()

    videos[0].grab = stalled
    before = clock.now_ns()
    assert source.read() is None
    assert clock.now_ns() - before == NS_PER_S


def test_opencv_waits_one_second_instead_of_ten(plug, monkeypatch):
    monkeypatch.delenv(v4l2.WAIT_VARIABLE, raising=False)
    source, _ = plug()
    source.open()
    assert os.environ[v4l2.WAIT_VARIABLE] == "1"
    monkeypatch.setenv(v4l2.WAIT_VARIABLE, "4")  # a user's own wish stands
    source.open()
    assert os.environ[v4l2.WAIT_VARIABLE] == "4"


def test_a_broken_image_is_skipped_and_counted_and_many_are_a_loss(plug):
    source, _ = plug(script=["ok", "broken", "ok"] + ["broken"] * v4l2.MOST_UNDECODED)
    source.open()
    source.read()
    assert source.read() is not None
    assert source.figures()["undecoded"] == 1
    with pytest.raises(SourceLostError, match="could not be decoded"):
        source.read()


def test_images_in_use_are_not_overwritten(plug):
    source, _ = plug()
    source.open()
    held = [source.read().payload for _ in range(5)]
    assert [int(picture[0, 0, 0]) for picture in held] == [1, 2, 3, 4, 5]
    assert source.figures()["frames"] == 5


# --- what is not there


def test_a_camera_that_opens_and_delivers_nothing(plug):
    source, videos = plug(script=["stall"] * 9)
    with pytest.raises(DeviceError, match=r"no image received.*/dev/video2 \(HD Webcam\)"):
        source.open()
    assert videos[0].released


def test_a_camera_in_use_by_another_program(plug, monkeypatch):
    source, _ = plug(opened=False)
    monkeypatch.setattr(nodes, "holders_of", lambda _: ["cheese (4711)"])
    with pytest.raises(DeviceError, match=r"busy: used by cheese \(4711\)"):
        source.open()


def test_missing_and_forbidden_are_different_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "camera_nodes", list)
    with pytest.raises(DeviceError, match=r"no such device.*--camera synthetic"):
        nodes.refuse_unusable(str(tmp_path / "video9"))
    (tmp_path / "video0").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DeviceError, match=r"permission denied.*usermod -aG video"):
        nodes.refuse_unusable(str(tmp_path / "video0"))


def test_the_cameras_of_the_machine_without_their_second_nodes(tmp_path):
    for name, index, card in (("video10", "0", "Late"), ("video0", "0", "HD Webcam"), ("video1", "1", "HD Webcam")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index").write_text(index + "\n")
        (tmp_path / name / "name").write_text(card + "\n")
    assert [str(node) for node in nodes.camera_nodes(tmp_path)] == ["/dev/video0 (HD Webcam)", "/dev/video10 (Late)"]


@pytest.fixture
def usb(tmp_path):
    """Plugs cameras in as Linux lists them: `video0` at a port, with or without a serial number."""

    class Usb:
        sysfs = tmp_path / "class"

        def plug(self, node, port, *, name="HD Webcam", model="0825", serial=""):
            interface = tmp_path / "devices" / port / f"{port}:1.0"
            interface.mkdir(parents=True, exist_ok=True)
            for file, text in {"idVendor": "046d", "idProduct": model, "serial": serial}.items():
                (interface.parent / file).write_text(f"{text}\n" if text else "")
            entry = self.sysfs / node
            entry.mkdir(parents=True)
            (entry / "device").symlink_to(interface)
            (entry / "name").write_text(f"{name}\n")
            (entry / "index").write_text("0\n")
            return nodes.identity_of(f"/dev/{node}", self.sysfs)

        def unplug(self, node):
            shutil.rmtree(self.sysfs / node)

        def find(self, path, known):
            return nodes.current_path(path, known, self.sysfs)

    return Usb()


def test_a_camera_that_reconnects_under_another_number_is_found_by_its_port(usb):
    known = usb.plug("video0", "1-2")
    usb.plug("video2", "1-4")  # its twin
    usb.unplug("video0")
    assert usb.find("/dev/video0", known) == "/dev/video0"  # not the twin: nothing is connected yet
    usb.plug("video4", "1-2")
    assert usb.find("/dev/video0", known) == "/dev/video4"


def test_a_camera_with_a_serial_number_is_found_in_any_port(usb):
    known = usb.plug("video0", "1-2", serial="A1")
    usb.unplug("video0")
    usb.plug("video0", "1-2", serial="B7")  # its twin took its place
    usb.plug("video2", "2-1", serial="A1")
    assert usb.find("/dev/video0", known) == "/dev/video2"


def test_a_camera_without_a_serial_number_may_reconnect_at_another_port_under_its_old_name(usb):
    known = usb.plug("video0", "1-2")
    usb.unplug("video0")
    usb.plug("video0", "2-1")
    assert usb.find("/dev/video0", known) == "/dev/video0"


def test_another_camera_in_its_place_is_rejected(usb):
    known = usb.plug("video0", "1-2")
    usb.unplug("video0")
    usb.plug("video0", "1-2", name="Thermal", model="1111")
    with pytest.raises(
        DeviceError, match=r"reopening .*/dev/video0 \(HD Webcam\): another camera is connected there now \(Thermal\)"
    ):
        usb.find("/dev/video0", known)


def test_what_linux_does_not_list_has_no_identity(tmp_path):
    assert nodes.identity_of("/dev/video0", tmp_path) is None


def test_a_camera_is_reopened_where_it_is_now(plug, monkeypatch, caplog):
    source, _ = plug()
    monkeypatch.setattr(v4l2, "identity_of", lambda _: "the camera")
    assert source.open().detail.startswith("/dev/video0, ")
    source.close()
    monkeypatch.setattr(v4l2, "current_path", lambda path, known: "/dev/video4")
    assert source.open().detail.startswith("/dev/video4, ")
    assert "/dev/video0 reconnected as /dev/video4" in caplog.text
    source.close()


def test_who_holds_a_device(tmp_path):
    device = tmp_path / "video0"
    device.touch()
    for process, target in (("17", device), ("18", tmp_path / "other"), (str(os.getpid()), device)):
        handles = tmp_path / "proc" / process / "fd"
        handles.mkdir(parents=True)
        (handles / "3").symlink_to(target)
        (handles.parent / "comm").write_text("cheese\n")
    (tmp_path / "proc" / "19").mkdir()  # another user's process: its handles cannot be listed
    assert nodes.holders_of(str(device), tmp_path / "proc") == ["cheese (17)"]


# --- streams


@pytest.fixture
def streamed(monkeypatch, clock):
    def connect(**behaviour):
        calls = []

        def make(*requested):
            calls.append(requested)
            return FakeVideo(clock, modes=WEBCAM, **behaviour)

        monkeypatch.setattr(cv2, "VideoCapture", make)
        return calls

    return connect


def test_a_network_camera_always_has_both_time_outs_and_never_shows_its_password(streamed):
    calls = streamed()
    config = CameraConfig(open_timeout_ms=1500, read_timeout_ms=700)
    source = network.network_camera("image", "rtsp://user:se:cret@host/a", config)
    opened = source.open()
    url, backend, settings = calls[0]
    requested = dict(zip(settings[::2], settings[1::2], strict=True))
    assert (url, backend) == ("rtsp://user:se:cret@host/a", cv2.CAP_FFMPEG)
    assert requested[cv2.CAP_PROP_OPEN_TIMEOUT_MSEC] == 1500
    assert requested[cv2.CAP_PROP_READ_TIMEOUT_MSEC] == 700
    assert requested[cv2.CAP_PROP_N_THREADS] == 1
    assert opened.detail == "rtsp://user:…@host/a, 640x480 at 30 fps, stamped at arrival"
    assert "cret" not in repr(opened)


def test_a_server_that_does_not_answer(streamed):
    streamed(opened=False)
    source = network.network_camera("image", "rtsp://user:secret@host/a", CameraConfig())
    with pytest.raises(DeviceError, match="no image within 3000 ms") as caught:
        source.open()
    assert "secret" not in str(caught.value)


def test_a_stream_stamps_at_arrival_accepts_new_sizes_and_is_lost_when_it_ends(streamed, clock):
    streamed(script=["ok", "ok", "gone"])
    source = StreamCamera("image", "x", lambda: cv2.VideoCapture("x"), offset_ms=-50, clock=clock)
    source.open()
    first = source.read()
    assert first.t_ns == START_NS + (10 - 50) * NS_PER_MS
    source._video.width = 320
    second = source.read()
    assert (first.payload.shape, second.payload.shape) == ((480, 640, 3), (480, 320, 3))
    with pytest.raises(SourceLostError, match="the stream ended"):
        source.read()
    source.interrupt()
    assert source.read() is None
    source.close()
    assert source.read() is None


def test_an_implausible_stream_rate_is_ignored(streamed):
    streamed()
    cv2_video = cv2.VideoCapture("x")
    cv2_video.fps = 90_000
    opened = StreamCamera("image", "x", lambda: cv2_video).open()
    assert (opened.period_ns, opened.detail) == (None, "x, 640x480, stamped at arrival")


def test_pipelines_need_an_opencv_with_gstreamer(monkeypatch):
    source = gstreamer.jetson_camera("image", 1, CameraConfig(width=1920, height=1080, fps=30))
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: False)
    with pytest.raises(DeviceError, match="built without GStreamer") as caught:
        source.open()
    for part in ("sensor-id=1", "width=1920,height=1080,framerate=30000/1000", "appsink drop=true max-buffers=1"):
        assert part in str(caught.value)


def test_a_pipeline_with_its_own_sink_is_left_as_it_is(monkeypatch, streamed):
    calls = streamed()
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: True)
    gstreamer.gstreamer_camera("image", "videotestsrc ! appsink", CameraConfig()).open()
    gstreamer.gstreamer_camera("image", "videotestsrc", CameraConfig()).open()
    assert calls[0] == ("videotestsrc ! appsink", cv2.CAP_GSTREAMER)
    assert calls[1][0] == f"videotestsrc ! {gstreamer.SINK}"
