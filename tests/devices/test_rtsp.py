"""The live loop on a real RTSP camera, on this machine's loopback network: killed, frozen, and back again."""

import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

SERVER = Path(__file__).with_name("rtsp_server.py")
PACKAGES = ["gir1.2-gst-rtsp-server-1.0", "python3-gi"]
PACKAGES += [f"gstreamer1.0-plugins-{kind}" for kind in ("base", "good", "ugly")]
COLOR = {"red": 32, "green": 192, "blue": 64}
FPS = 30
MOST_AHEAD_S = 0.2
STALE_WITHIN_S = 3 / FPS + 0.5


@pytest.fixture(autouse=True)
def _server_can_run():
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ", *PACKAGES]
    states = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    if states != ["installed"] * len(PACKAGES):
        pytest.skip(f"the RTSP server is not there: sudo apt-get install {' '.join(PACKAGES)}")


class Server:
    """`rtsp_server.py` as a process, which can be killed and frozen."""

    def __init__(self, port="0"):
        command = [SERVER, port, "0xff{red:02x}{green:02x}{blue:02x}".format(**COLOR)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.port = self.url.split(":")[-1].split("/")[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def start(lab, bundle, server):
    lab.start(bundle, "--camera", server.url, "--mic", "none", "--text", "the red ball")
    lab.until_predictions()


def watch(lab, bundle):
    with Server() as server:
        start(lab, bundle, server)
        lab.until_predictions(60)
        lab.interrupt()


def test_it_sees_what_the_camera_shows(laboratory, witness):
    run = laboratory.play(watch, witness)
    seen = 255 * np.array(run.told("seen", *COLOR))
    assert np.abs(seen - list(COLOR.values())).max() < 8  # H.264 and 8-bit YUV cost a few levels
    run.assert_ctrl_c_ended_it()


def test_what_queued_while_it_was_opened_is_not_told_as_new(laboratory, witness):
    """FFmpeg looks at a stream for a while and then gives all of that while at once: those are old."""
    images = [(entry["t_ns"], entry["inputs"]["image"]["seq"]) for entry in laboratory.play(watch, witness).predictions]
    (first_ns, first_seq), (last_ns, last_seq) = images[0], images[-1]
    assert (last_seq - first_seq) / FPS < (last_ns - first_ns) / 1e9 + MOST_AHEAD_S


def kill_and_bring_back(lab, bundle):
    with Server() as server:
        start(lab, bundle, server)
        lab.note("kill")
    lab.until_event("camera", "lost")
    with Server(server.port):
        lab.note("bring back")
        lab.until_event("camera", "live")
        lab.until_predictions()
        lab.interrupt()


def test_a_killed_server_is_told_at_once_and_heals(laboratory, witness):
    run = laboratory.play(kill_and_bring_back, witness)
    run.assert_told("kill", "camera", "lost")
    run.assert_ctrl_c_ended_it()


def freeze(lab, bundle, server):
    start(lab, bundle, server)
    lab.note("freeze")
    server.process.send_signal(signal.SIGSTOP)
    lab.until_event("camera", "stale")
    lab.note("stale")


def freeze_and_go_on(lab, bundle):
    with Server() as server:
        freeze(lab, bundle, server)
        lab.until_event("camera", "lost")  # the time-outs of the connection, not the end of it, bring this
        lab.note("go on")
        server.process.send_signal(signal.SIGCONT)
        lab.until_event("camera", "live")
        lab.until_predictions()
        lab.interrupt()


def test_a_frozen_server_is_told_soon_and_heals(laboratory, witness):
    run = laboratory.play(freeze_and_go_on, witness)
    run.assert_told("freeze", "camera", "stale", STALE_WITHIN_S)
    assert "live" not in run.states("camera", "stale", "go on")  # what the decoder still held is old, not new
    run.assert_ctrl_c_ended_it()


def interrupt_while_frozen(lab, bundle):
    with Server() as server:
        freeze(lab, bundle, server)
        lab.interrupt()


def interrupt_while_reconnecting(lab, bundle):
    with Server() as server:
        start(lab, bundle, server)
        lab.note("kill")
    lab.until_event("camera", "reconnecting")
    lab.interrupt()


def interrupt_while_reconnecting_to_a_frozen_server(lab, bundle):
    """The worst of them: the port takes connections, and nobody answers."""
    with Server() as server:
        freeze(lab, bundle, server)
        lab.until_event("camera", "reconnecting")
        lab.interrupt()


@pytest.mark.parametrize(
    "scenario", [interrupt_while_frozen, interrupt_while_reconnecting, interrupt_while_reconnecting_to_a_frozen_server]
)
def test_ctrl_c_ends_a_run_whose_server_failed(laboratory, witness, scenario):
    laboratory.play(scenario, witness).assert_ctrl_c_ended_it()


def start_without(lab, bundle):
    lab.start(bundle, "--camera", "rtsp://127.0.0.1:9/camera", "--mic", "none")  # a port that nobody serves
    lab.until_end()


def test_a_server_that_was_never_there_is_exit_code_3(laboratory, witness):
    run = laboratory.play(start_without, witness)
    assert run.exit_code == 3, run.log
    assert "rtsp://" in run.log
