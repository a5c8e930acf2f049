"""What the live loop does when its microphone is unplugged or was never there: it says so, goes on, and heals."""

import time

CYCLES = 4
SMALL = ("--set", "sources.camera.width=320", "--set", "sources.camera.height=180", "--set", "sources.camera.fps=10")
INPUTS = ("--camera", "0", "--mic", "default", "--text", "the red ball", *SMALL)


def hears(prediction):
    return prediction["inputs"]["audio"]["state"] == "fresh" and prediction["health"] == "ok"


def is_deaf(prediction):
    return prediction["inputs"]["audio"]["state"] == "missing" and prediction["health"] == "degraded"


def unplug(lab, bundle):
    lab.start(bundle, *INPUTS)
    lab.until_predictions(like=hears)
    lab.unplug_microphone()
    lab.until_event("mic", "lost")


def unplug_and_plug_in(lab, bundle):
    unplug(lab, bundle)
    lab.until_predictions(20, like=is_deaf)
    time.sleep(2)  # long enough for it to try again in vain
    lab.plug_microphone()
    lab.until_event("mic", "live")
    lab.until_predictions(like=hears)
    lab.interrupt()


def test_without_its_microphone_the_run_goes_on_and_heals(guest, witness):
    run = guest.play(unplug_and_plug_in, witness, camera="vivid", mic="loopback")
    run.assert_told("unplug microphone", "mic", "lost")
    run.assert_ctrl_c_ended_it()
    unplugged, plugged = run.act("unplug microphone")["t_ns"], run.act("plug microphone")["t_ns"]
    meanwhile = [prediction for prediction in run.predictions if unplugged < prediction["t_ns"] < plugged]
    states = [prediction["inputs"]["audio"]["state"] for prediction in meanwhile]
    told = [prediction["outputs"]["senses"]["audio"] for prediction in meanwhile]
    assert told == [float(state != "missing") for state in states]
    # What was heard last may be held for as long as the bundle allows; then nothing is made up.
    first_missing = states.index("missing")
    assert set(states[first_missing:]) == {"missing"}
    assert {prediction["health"] for prediction in meanwhile[first_missing:]} == {"degraded"}
    assert {prediction["inputs"]["image"]["state"] for prediction in meanwhile} == {"fresh"}


def unplug_and_plug_in_often(lab, bundle):
    lab.start(bundle, *INPUTS)
    lab.until_predictions(like=hears)
    for _ in range(CYCLES):
        lab.unplug_microphone()
        lab.until_event("mic", "lost")
        lab.plug_microphone()
        lab.until_predictions(like=hears)
        lab.note_what_it_holds()
    lab.interrupt()


def test_opening_it_again_leaks_nothing(guest, witness):
    run = guest.play(unplug_and_plug_in_often, witness, camera="vivid", mic="loopback")
    first, *_, last = run.acts("holds")
    assert (last["fd"], last["task"]) == (first["fd"], first["task"])
    run.assert_ctrl_c_ended_it()


def interrupt_while_unplugged(lab, bundle):
    unplug(lab, bundle)
    lab.interrupt()


def test_ctrl_c_ends_a_run_whose_microphone_failed(guest, witness):
    guest.play(interrupt_while_unplugged, witness, camera="vivid", mic="loopback").assert_ctrl_c_ended_it()


def start_without(lab, bundle):
    lab.start(bundle, *INPUTS)
    lab.until_end()


def test_a_microphone_that_was_never_there_is_exit_code_3(guest, witness):
    run = guest.play(start_without, witness, camera="vivid", mic="none")
    assert run.exit_code == 3, run.log
    assert "mic" in run.log
    assert "Traceback" not in run.log
