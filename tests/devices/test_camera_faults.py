"""What the live loop does when its camera is unplugged, stalls, or was never there: it says so at once, and heals."""

import signal
import subprocess
import time

import pytest

FEED_FPS = 25
STALE_WITHIN_S = 3 / FEED_FPS + 0.5
CYCLES = 4
INPUTS = ("--camera", "0", "--mic", "none", "--text", "the red ball")


def start(lab, bundle):
    lab.start(bundle, *INPUTS)
    lab.until_predictions()


def start_fed(lab, bundle):
    feeder = lab.feed_camera(f"testsrc=size=640x480:rate={FEED_FPS}", "-pix_fmt", "yuyv422")
    start(lab, bundle)
    return feeder


def stall(lab, feeder):
    lab.note("stall")
    feeder.send_signal(signal.SIGSTOP)


def unplug_and_plug_in(lab, bundle):
    start(lab, bundle)
    lab.unplug_camera()
    lab.until_event("camera", "lost")
    time.sleep(2)  # long enough for it to try again in vain
    lab.plug_camera()
    lab.until_event("camera", "live")
    lab.until_predictions()
    lab.interrupt()


def test_an_unplugged_camera_is_told_at_once_and_heals(guest, witness):
    run = guest.play(unplug_and_plug_in, witness, camera="vivid")
    run.assert_told("unplug camera", "camera", "lost")
    run.assert_ctrl_c_ended_it()


def disconnect(lab, bundle):
    start(lab, bundle)
    lab.note("disconnect")
    subprocess.run(["v4l2-ctl", "-d0", "--set-ctrl", "disconnect=1"], check=True)
    lab.until_event("camera", "lost")
    lab.interrupt()


def test_a_camera_that_drops_off_the_bus_is_told_at_once(guest, witness):
    """The driver goes on, its device answers ENODEV: what a loose USB plug looks like."""
    run = guest.play(disconnect, witness, camera="vivid")
    run.assert_told("disconnect", "camera", "lost")
    run.assert_ctrl_c_ended_it()


def unplug_and_plug_in_often(lab, bundle):
    start(lab, bundle)
    for _ in range(CYCLES):
        lab.unplug_camera()
        lab.until_event("camera", "reconnecting")  # it has let go of the device: until then its number is taken
        lab.plug_camera()
        lab.until_predictions()
        lab.note_what_it_holds()
    lab.interrupt()


def test_opening_it_again_leaks_nothing(guest, witness):
    run = guest.play(unplug_and_plug_in_often, witness, camera="vivid")
    first, *_, last = run.acts("holds")
    assert (last["fd"], last["task"]) == (first["fd"], first["task"])
    run.assert_ctrl_c_ended_it()


def stall_and_go_on(lab, bundle, for_s):
    feeder = start_fed(lab, bundle)
    stall(lab, feeder)
    lab.until_event("camera", "stale")
    lab.note("stale")
    time.sleep(float(for_s))
    lab.note("go on")
    feeder.send_signal(signal.SIGCONT)
    lab.until_event("camera", "live")
    lab.until_predictions()
    lab.interrupt()


@pytest.mark.parametrize("for_s", [2, 12])  # OpenCV's own patience with a V4L2 camera ends after 10 s
def test_a_stalled_camera_is_told_soon_and_heals(guest, witness, for_s):
    run = guest.play(stall_and_go_on, witness, for_s, camera="loopback")
    run.assert_told("stall", "camera", "stale", STALE_WITHIN_S)
    assert "live" not in run.states("camera", "stale", "go on")
    run.assert_ctrl_c_ended_it()


def start_without(lab, bundle):
    lab.start(bundle, *INPUTS)
    lab.until_end()


def test_a_camera_that_was_never_there_is_exit_code_3(guest, witness):
    run = guest.play(start_without, witness, camera="none")
    assert run.exit_code == 3, run.log
    assert "camera" in run.log
    assert "Traceback" not in run.log


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


def interrupt_while_unplugged(lab, bundle):
    start(lab, bundle)
    lab.unplug_camera()
    lab.until_event("camera", "lost")
    lab.interrupt()


def interrupt_while_reconnecting(lab, bundle):
    start(lab, bundle)
    lab.unplug_camera()
    lab.until_event("camera", "reconnecting")
    time.sleep(1.5)
    lab.interrupt()


def interrupt_while_stalled(lab, bundle):
    feeder = start_fed(lab, bundle)
    stall(lab, feeder)
    lab.until_event("camera", "stale")
    lab.interrupt()


@pytest.mark.parametrize(
    ("scenario", "camera"),
    [
        (interrupt_while_unplugged, "vivid"),
        (interrupt_while_reconnecting, "vivid"),
        (interrupt_while_stalled, "loopback"),
    ],
)
def test_ctrl_c_ends_a_run_whose_camera_failed(guest, witness, scenario, camera):
    guest.play(scenario, witness, camera=camera).assert_ctrl_c_ended_it()
