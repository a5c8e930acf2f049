"""Credentials: no text that leaves the process has them, however the camera's address is written."""

import logging

import pytest
from bundles import senses_bundle
from commands import Commands
from sources import END, Script, picture

from mm_edge.errors import DeviceError, UsageError
from mm_edge.log import set_up_logging
from mm_edge.redact import redact

SECRET = "s3cr-T"
ADDRESSES = [
    "rtsp://user:s3cr-T@host/a",
    "rtsp://:s3cr-T@host/a",
    "rtsp://user:x/s3cr-T@host/a",
    "rtsp://user:12345/s3cr-T@host:554/a",
    "rtsp://user:x?s3cr-T@host/a",
    "rtsp://user:x#s3cr-T@host/a",
    "rtsp://user:x@s3cr-T@host/a",
    "rtsp://user:x:s3cr-T@host/a",
    "rtsp://user:'s3cr-T'@host/a",
    "RTSP://user:s3cr-T@[::1]:554/a",
    "srt://host:9000?passphrase=s3cr-T&mode=caller",
    "unknown+x.1://user:s3cr-T@host",
    "http://host/cam.cgi?user=admin&pwd=s3cr-T",
    "http://host/cam.cgi?loginuse=admin&x=s3cr-T&y=1",
    "http://host/cam.cgi?s3cr-T",
    "http://host/cam.mjpg#s3cr-T",
    "http://host:81/a?mail=x@y&key=s3cr-T",
    "rtsp://host:554/user=admin_password=s3cr-T_channel=1_stream=0.sdp",
    "rtsp://host/user=admin&password=s3cr-T&channel=1",
    "rtsp://host/a/password=x/s3cr-T",
    "gst:rtspsrc location=rtsp://user:s3cr-T@host/a latency=0 ! decodebin",
    "gst:rtspsrc location=rtsp://host/a user-id=admin user-pw=s3cr-T ! decodebin",
    'gst:rtspsrc location="rtsp://host/a" user-pw="two words s3cr-T" ! decodebin',
    'gst:souphttpsrc location=http://host/a extra-headers="h,Authorization=(string)s3cr-T" ! decodebin',
    "gst:x headers='Authorization: Basic s3cr-T' ! y",
    "gst:srtsrc uri=srt://host:1 passphrase = s3cr-T ! y",
    "rtsp:/user:s3cr-T@host/a",
    "user:s3cr-T@host",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_form_of_an_address_shows_its_secret(address):
    assert SECRET not in redact(address)
    assert SECRET not in redact(f"opening '{address}' for 'image': it is not there. Check it")
    assert SECRET not in str(DeviceError(address, action=address, hint=address))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://host/a", "rtsp://host/a"),
        ("rtsp://user@host:554/a/b.mp4", "rtsp://user@host:554/a/b.mp4"),
        ("http://user:p@ss@host:81/a", "http://user:…@host:81/a"),
        ("http://host:81/a?mail=x@y", "http://host:81/a?mail=…"),
        ("http://host/0123456789abcdef0123/live", "http://host/…/live"),
        ("see 'http://robot:8700/?token=x', or", "see 'http://robot:8700/?token=…', or"),
        ("gst:rtspsrc user-id=a user-pw=b ! decodebin", "gst:rtspsrc user-id=a user-pw=… ! decodebin"),
        ("expected KEY=VALUE, for example --set loop.depth=1", "expected KEY=VALUE, for example --set loop.depth=1"),
        ("Sign it: mm-edge export … --sign KEY", "Sign it: mm-edge export … --sign KEY"),
        ("camera: live (1280x720 at 30 fps)", "camera: live (1280x720 at 30 fps)"),
    ],
)
def test_the_rest_of_a_text_stays_readable(text, shown):
    assert redact(text) == shown
    assert redact(redact(text)) == redact(text)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("redact")
    senses_bundle(folder / "senses.mmb")
    made = Commands(folder)
    yield made
    made.close()


@pytest.mark.parametrize(
    "words",
    [
        ("--camera", "gst:rtspsrc location=rtsp://host/a user-pw=s3cr-T"),
        ("--camera", "unknown://user:x/s3cr-T@host"),
        ("--view", "http://host/?token=s3cr-T"),
        ("--engine", "rtsp://user:s3cr-T@host/a"),
        ("--set", "rtsp://user:s3cr-T@host/a"),
        ("--depth", "rtsp://user:s3cr-T@host/a"),
    ],
)
def test_no_message_or_traceback_of_the_command_shows_it(commands, words):
    """No address is usable: OpenCV has no GStreamer, or it is no value of the option."""
    camera = () if words[0] == "--camera" else ("--camera", "synthetic")  # beside another, an absent one is retried
    ended = commands.run("--debug", "run", "senses.mmb", "-q", *camera, *words)
    assert ended["code"] in {2, 3}
    assert "error: " in ended["err"]
    assert SECRET not in ended["err"] + ended["out"]


def test_events_the_page_and_the_log_do_not_show_it(tmp_path, capfd):
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.config import RunConfig
    from mm_edge.runtime.clock import MonotonicClock
    from mm_edge.runtime.session.run import Run
    from mm_edge.runtime.sinks.jsonl import JsonlSink
    from mm_edge.runtime.sinks.telemetry.status import Tally

    class Page:
        name, wants_samples = "page", False

        def __init__(self):
            self.tally = Tally(MonotonicClock())
            self.open, self.take = self.tally.open, self.tally.take

        def close(self):
            pass

    class Camera(Script):
        def open(self):
            from msgspec.structs import replace

            return replace(super().open(), detail="x://user:s3cr-T@host/a, 640x480")

    set_up_logging()
    page = Page()
    camera = Camera("image", [picture(1, 0), UsageError("x://user:s3cr-T@host/a ended"), END])
    sinks = [page, JsonlSink(str(tmp_path / "out.jsonl"))]
    with (
        Bundle.open(senses_bundle(tmp_path / "senses.mmb")) as bundle,
        Run(bundle, RunConfig(), [camera], sinks) as run,
    ):
        assert run.wait(10)
    logging.getLogger("mm_edge.anything").warning("%s is away", "x://user:s3cr-T@host/a")
    shown = capfd.readouterr()
    texts = {
        "log": shown.err,
        "JSON lines": (tmp_path / "out.jsonl").read_text(),
        "page": repr(page.tally.view()),
        "events": repr([event.detail for event in page.tally.view().events]),
    }
    assert {name for name, text in texts.items() if SECRET in text} == set()
    assert {name for name, text in texts.items() if "user:…@host" in text} == set(texts)


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Basic s3cr-T",
        "authorization: bearer s3cr-T",
        "Authorization: Digest username=robot, response=s3cr-T",
        'Authorization: Digest username="robot", realm="a b", response="s3cr-T", nc=1',
        "Authorization: s3cr-T",
        "Authorization: Custom s3cr-T",
        "Digest username=robot, realm=a, response=s3cr-T",
        'digest username="robot" , response = "s3cr-T"',
        "Bearer s3cr-T",
    ],
)
def test_no_header_shows_its_credential(header):
    assert SECRET not in redact(header)
    assert SECRET not in redact(f"the server refused '{header}', and closed")
    assert redact(redact(header)) == redact(header)


def test_a_token_without_capitals_or_digits_is_hidden():
    assert "abcdefghijklmnop" not in redact("sent bearer abcdefghijklmnop to the server")


@pytest.mark.parametrize("text", ["which no digest covers", "basic settings of the camera", "the bearer of the key"])
def test_prose_is_left_alone(text):
    assert redact(text) == text
