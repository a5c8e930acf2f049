"""Signals and readers that leave: a command that is interrupted ends with 130, and a run ends with its only reader."""

import json
import signal
import subprocess
import sys
import time

import pytest
from bundles import senses_bundle

SOON_S = 60  # a hang; these machines are slow
# An interrupt while a package is imported: Python turns it into an ImportError, or the package ignores it.
INTERRUPTED_IMPORT = """
import builtins, os, signal, sys
from mm_edge.cli.__main__ import main

works = builtins.__import__

def import_interrupted(name, *rest):
    if name.endswith("session.session") and sys._getframe(1).f_code.co_name == "_wire":
        try:
            signal.raise_signal(signal.NUMBER)
        except KeyboardInterrupt:
            OUTCOME
    return works(name, *rest)

builtins.__import__ = import_interrupted
sys.argv = ["mm-edge", "run", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return str(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb"))


def start(*words, code=None, **more):
    command = [sys.executable, *(["-c", code] if code else ["-m", "mm_edge.cli", "run"])]
    return subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        ("SIGINT", "pass"),
        ("SIGINT", "raise"),
        *((number, "raise ImportError('initialization failed')") for number in ("SIGINT", "SIGTERM", "SIGHUP")),
    ],
)
def test_an_interrupt_during_an_import_ends_the_command_with_130(bundle, number, outcome):
    code = INTERRUPTED_IMPORT.replace("NUMBER", number).replace("OUTCOME", outcome)
    done = start(bundle, "--camera", "synthetic", "-q", "--seconds", "30", code=code)
    _, errors = done.communicate(timeout=SOON_S)
    assert (done.returncode, errors.strip()) == (130, "")


@pytest.mark.parametrize("after_s", [0.25, 0.6])
def test_an_interrupt_at_any_moment_ends_the_run_with_130(bundle, after_s):
    process = start(bundle, "--camera", "synthetic", "-q")
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SOON_S)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "error" not in errors


def test_a_closed_terminal_ends_the_run_with_a_summary(bundle, tmp_path):
    out = tmp_path / "run.jsonl"
    process = start(bundle, "--camera", "synthetic", "--jsonl", out, "-q")
    stop = time.monotonic() + SOON_S
    while not out.exists() or out.read_text().count("prediction") < 3:
        assert time.monotonic() < stop
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=SOON_S)
    assert process.returncode == 130
    assert json.loads(out.read_text().splitlines()[-1])["kind"] == "summary"


def test_a_run_that_ignores_the_closed_terminal_continues(bundle):
    """As under nohup."""
    ignoring = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); from mm_edge.cli.__main__ import main\n"
    )
    ignoring += "sys.argv = ['mm-edge', 'run', *sys.argv[1:]]; main()"
    process = start(bundle, "--camera", "synthetic", "--jsonl", "-", "-q", "--seconds", "1", code=ignoring)
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    told, _ = process.communicate(timeout=SOON_S)
    assert process.returncode == 0
    assert json.loads(told.splitlines()[-1])["kind"] == "summary"


@pytest.mark.parametrize("quiet", [["-q"], []])
def test_a_run_ends_when_its_only_reader_has_gone(bundle, quiet):
    process = start(bundle, "--camera", "synthetic", "--jsonl", "-", *quiet)  # for ever otherwise
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(SOON_S) == 0
    assert "Traceback" not in errors
    assert "nobody reads" in errors


def test_a_run_continues_for_another_sink(bundle, tmp_path):
    kept = tmp_path / "kept.jsonl"
    words = ["--camera", "synthetic", "--jsonl", "-", "-q", "--sink", f"jsonl:{kept}", "--seconds", "1"]
    process = start(bundle, *words)
    process.stdout.readline()
    process.stdout.close()
    process.stderr.read()
    process.stderr.close()
    assert process.wait(SOON_S) == 0
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    ended = next(at for at, line in enumerate(lines) if line.get("source") == "sink.jsonl")
    assert lines[ended]["state"] == "ended"
    assert sum(line["kind"] == "prediction" for line in lines[ended:]) > 5
    assert lines[-1]["kind"] == "summary"
