"""Runs one scenario: starts `mm-edge run`, manipulates its devices, and logs when. In the guest or on this machine.

    python lab.py FOLDER TEST_FILE SCENARIO [WORD...]

A scenario is a function of a test file that takes a Lab and words. What it leaves in FOLDER is for the test to judge:
`run.jsonl` as `mm-edge run` wrote it, `run.log` with what it printed, and `acts.jsonl` with what was done and when, on
the same clock. The standard library is all that is imported here: the guest is slow.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

POLL_S = 0.05
PATIENCE_S = 40.0  # many times what anything here takes: who waits that long waits in vain
VIVID = Path("/sys/bus/platform/drivers/vivid")
SOUND_CARD = Path("/sys/bus/platform/drivers/snd_aloop")
FED_CAMERA = Path("/sys/class/video4linux/video0/format")  # empty until somebody feeds the loopback camera


class Lab:
    def __init__(self, out):
        self.out = out
        self.run = None
        self._lines, self._tail = [], b""
        self._since = 0  # the first line after the last act
        self._jsonl = None
        self._acts = (out / "acts.jsonl").open("w", buffering=1)

    def note(self, act, **details):
        self._follow()
        self._since = len(self._lines)
        self._acts.write(json.dumps({"act": act, "t_ns": time.monotonic_ns(), **details}) + "\n")

    # --- the run -----------------------------------------------------------------------------------------------

    def start(self, bundle, *options):
        """`mm-edge run BUNDLE OPTIONS`. Should it hang, SIGABRT makes it show where each of its threads stands."""
        program = Path(sys.executable).with_name("mm-edge")
        command = [program, "run", bundle, "--jsonl", self.out / "run.jsonl", *options]
        self.note("start", command=list(map(str, command)))
        with (self.out / "run.log").open("wb") as log:
            self.run = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            )

    def until_predictions(self, count=5, like=lambda prediction: True):
        """Waits until there are `count` of them since the last act."""

        def enough(lines):
            return sum(line["kind"] == "prediction" and like(line) for line in lines) >= count

        self._until(enough, f"{count} predictions as asked")

    def until_event(self, source, state):
        """Waits until it has come since the last act."""

        def came(lines):
            return any(line["kind"] == "event" and (line["source"], line["state"]) == (source, state) for line in lines)

        self._until(came, f"event '{source} {state}'")

    def interrupt(self):
        """Ctrl-C."""
        self.note("interrupt")
        self.run.send_signal(signal.SIGINT)
        self.until_end()

    def note_what_it_holds(self):
        """Open files and threads: what a leak would show in."""
        held = {kind: len(list(Path(f"/proc/{self.run.pid}/{kind}").iterdir())) for kind in ("fd", "task")}
        self.note("holds", **held)

    def until_end(self):
        try:
            code = self.run.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._give_up(f"the run did not end within {PATIENCE_S:.0f} s")
        self.note("end", exit_code=code)

    def _until(self, satisfied, what):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            ended = self.run.poll()
            self._follow()
            if satisfied(self._lines[self._since :]):
                return
            if ended is not None:
                sys.exit(f"the run ended with {ended} before there was: {what}")
            if time.monotonic() > deadline:
                self._give_up(f"in {PATIENCE_S:.0f} s there was not: {what}")
            time.sleep(POLL_S)

    def _follow(self):
        """Reads what the run has written since the last look."""
        if self._jsonl is None and (self.out / "run.jsonl").exists():
            self._jsonl = (self.out / "run.jsonl").open("rb")
        if self._jsonl is not None:
            *whole, self._tail = (self._tail + self._jsonl.read()).split(b"\n")
            self._lines += map(json.loads, whole)

    def _give_up(self, why):
        self.run.send_signal(signal.SIGABRT)
        self.run.wait(PATIENCE_S)
        sys.exit(why)

    # --- the guest's devices -----------------------------------------------------------------------------------

    def unplug_camera(self):
        self.note("unplug camera")
        (VIVID / "unbind").write_text("vivid.0")

    def plug_camera(self):
        self.note("plug camera")
        (VIVID / "bind").write_text("vivid.0")

    def feed_camera(self, picture, *options):
        """ffmpeg shows the lavfi `picture` to the loopback camera for as long as it runs; `options` encode it."""
        feed = ["-re", "-f", "lavfi", "-i", picture, *options, "-f", "v4l2", "/dev/video0"]
        feeder = subprocess.Popen(["ffmpeg", "-nostdin", "-loglevel", "error", *feed])
        deadline = time.monotonic() + PATIENCE_S
        while not FED_CAMERA.read_text().strip():
            if feeder.poll() is not None or time.monotonic() > deadline:
                sys.exit("ffmpeg does not feed the camera")
            time.sleep(POLL_S)
        return feeder

    def play(self, wav):
        """Plays `wav` to the microphone, from beginning to end."""
        self.note("play")
        subprocess.run(["aplay", "-q", "-D", "mic_feed", wav], check=True)

    def unplug_microphone(self):
        """The kernel lets go of the card once nobody has it open any more: `plug_microphone` waits for that."""
        self.note("unplug microphone")
        unbind = (SOUND_CARD / "unbind").write_text
        self._unplugging = threading.Thread(target=unbind, args=["snd_aloop.0"], daemon=True)
        self._unplugging.start()

    def plug_microphone(self):
        self._unplugging.join(PATIENCE_S)
        if self._unplugging.is_alive():
            self._give_up("the run keeps the unplugged microphone open")
        self.note("plug microphone")
        (SOUND_CARD / "bind").write_text("snd_aloop.0")


def main():
    out, file, scenario, *words = sys.argv[1:]
    spec = importlib.util.spec_from_file_location("scenarios", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lab = Lab(Path(out))
    try:
        getattr(module, scenario)(lab, *words)
    finally:
        if lab.run is not None and lab.run.poll() is None:
            lab.run.kill()


if __name__ == "__main__":
    main()
