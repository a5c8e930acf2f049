"""Plays scenarios on `mm-edge run`: in a guest with a real camera and microphone, or on this machine."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GUEST_TIMEOUT_S = 150
TOLD_WITHIN_S = ENDED_WITHIN_S = 1.0  # of a fault, of Ctrl-C
# The guest has one CPU, whose system calls are slow, and it shares the machine's. What goes wrong in this field is not
# late by a second: it takes a driver's time-out of 10 or 30 s, or it never comes.
GUEST_SLOWNESS = 3.0


def pytest_collection_modifyitems(items):
    """All tests of this folder need devices, or stand in for one."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.device)
            item.add_marker(pytest.mark.timeout(GUEST_TIMEOUT_S + 30))


@dataclass(frozen=True)
class Outcome:
    """What a scenario left behind."""

    folder: Path
    slowness: float  # of where it played

    @property
    def log(self) -> str:
        """What `mm-edge run` printed."""
        return (self.folder / "run.log").read_text()

    @property
    def lines(self) -> list[dict]:
        return _json_lines(self.folder / "run.jsonl")

    @property
    def predictions(self) -> list[dict]:
        return [line for line in self.lines if line["kind"] == "prediction"]

    def told(self, output: str, *labels: str) -> list[list[float]]:
        """What the model told, by prediction."""
        return [[prediction["outputs"][output][label] for label in labels] for prediction in self.predictions]

    @property
    def events(self) -> list[dict]:
        return [line for line in self.lines if line["kind"] == "event"]

    @property
    def summary(self) -> dict:
        (summary,) = (line for line in self.lines if line["kind"] == "summary")
        return summary

    @property
    def exit_code(self) -> int:
        return self.act("end")["exit_code"]

    def acts(self, name: str) -> list[dict]:
        """What was done, and when."""
        return [line for line in _json_lines(self.folder / "acts.jsonl") if line["act"] == name]

    def act(self, name: str) -> dict:
        (act,) = self.acts(name)
        return act

    def states(self, source: str, since: str, until: str) -> list[str]:
        """What was told of a source from one act to another."""
        first_ns, last_ns = self.act(since)["t_ns"], self.act(until)["t_ns"]
        return [
            event["state"] for event in self.events if event["source"] == source and first_ns < event["t_ns"] < last_ns
        ]

    def assert_told(self, act: str, source: str, state: str, within_s: float = TOLD_WITHIN_S) -> None:
        """From the act to the first event after it that tells this state."""
        done_ns = self.act(act)["t_ns"]
        told_ns = [event["t_ns"] for event in self.events if (event["source"], event["state"]) == (source, state)]
        seconds = min(t_ns - done_ns for t_ns in told_ns if t_ns >= done_ns) / 1e9
        assert seconds < within_s * self.slowness

    def assert_ctrl_c_ended_it(self) -> None:
        """At once, with the exit code that says so, and with a summary that has counted everything."""
        assert self.exit_code == 130, self.log
        assert (self.act("end")["t_ns"] - self.act("interrupt")["t_ns"]) / 1e9 < ENDED_WITHIN_S * self.slowness
        self.assert_every_picture_is_accounted_for()

    def assert_every_picture_is_accounted_for(self) -> None:
        """Captured is predicted plus dropped, to the last one: nothing hides in a queue, nothing comes out of turn."""
        stamps = [prediction["t_ns"] for prediction in self.predictions]
        assert stamps == sorted(set(stamps))
        summary = self.summary
        assert summary["predictions"] == len(self.predictions)
        assert summary["captured"]["image"] == summary["predictions"] + sum(summary["dropped"]["image"].values())


def _json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@dataclass(frozen=True)
class Laboratory:
    folder: Path
    guest: bool

    def play(self, scenario, *words, camera="none", mic="none") -> Outcome:
        """Plays a function of a test file; `camera` and `mic` are those of guest/run."""
        self.folder.mkdir()
        out = "/mnt/out" if self.guest else str(self.folder)
        command = [sys.executable, str(HERE / "lab.py"), out, scenario.__code__.co_filename, scenario.__name__]
        command += map(str, words)
        if self.guest:
            options = ["--camera", camera, "--mic", mic, "--out", str(self.folder), "--timeout", str(GUEST_TIMEOUT_S)]
            command = [str(HERE / "guest" / "run"), *options, "--", shlex.join(command)]
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=GUEST_TIMEOUT_S + 10,
        )
        if done.returncode:
            log = self.folder / "run.log"
            run = log.read_text()[-4000:] if log.exists() else "it was not started"
            pytest.fail(
                f"{scenario.__name__}, exit code {done.returncode}: {done.stdout}\n--- mm-edge run:\n{run}",
                pytrace=False,
            )
        return Outcome(self.folder, GUEST_SLOWNESS if self.guest else 1.0)


@pytest.fixture(scope="session")
def witness(tmp_path_factory) -> Path:
    """A bundle whose outputs tell what it was given: the mean colour, the loudness, which inputs were there."""
    from bundles import senses_bundle  # imports onnx, which whoever leaves these tests out need not wait for

    return senses_bundle(tmp_path_factory.mktemp("bundle") / "witness")


@pytest.fixture(scope="session")
def guest_is_built() -> None:
    built = subprocess.run([HERE / "guest" / "build", "--where"], check=False, capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"the guest is not built ({built.stdout.strip()}): make test-devices builds it")


@pytest.fixture
def guest(tmp_path: Path, guest_is_built: None) -> Laboratory:
    """Plays scenarios in the guest."""
    return Laboratory(tmp_path / "out", guest=True)


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    """Plays scenarios on this machine."""
    return Laboratory(tmp_path / "out", guest=False)
