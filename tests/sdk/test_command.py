"""The command line: every command of the contract, exit codes, one message per error."""

import json
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from mm_edge import errors
from mm_edge.cli import app
from mm_edge.cli.not_implemented import NOT_IMPLEMENTED

COMMAND = Path(sys.executable).with_name("mm-edge")
# What users script against: every command with its options.
CONTRACT = {
    "run": "--camera --mic --text --take --engine --precision --seconds --jsonl --view --record --deadline-ms --demo "
    "--config --set",
    "export": "-o --precision --calibrate --tolerance --sign --target",
    "inspect": "--json",
    "verify": "--key",
    "build": "",
    "bench": "--scenario --json --html --baseline",
    "train": "--out --quick",
    "zoo": "--json",
    "doctor": "--json",
    "devices": "--json",
    "schema": "",
    "keygen": "",
    "replay": "--jsonl --speed --compare",
    "recover": "",
    "info": "",
    "label": "",
    "export-dataset": "--format",
    "view": "",
    "service": "",
    "tune": "--for --budget-s --set --json",  # beyond the contract
}
IMPLEMENTED = [verb for verb in CONTRACT if find_spec(f"mm_edge.cli.commands.{verb.replace('-', '_')}")]
MISSING = [verb for verb in CONTRACT if verb not in IMPLEMENTED]


def test_every_implemented_command_is_listed():
    assert set(app.COMMANDS) == set(IMPLEMENTED)


@pytest.mark.parametrize("verb", CONTRACT)
def test_every_option_of_the_contract_exists(verb):
    command = get_command(app._command([verb])).commands[verb]
    options = {word for parameter in command.params for word in parameter.opts}
    assert set(CONTRACT[verb].split()) <= options
    assert command.help


def test_every_other_command_is_listed_as_not_implemented():
    assert set(NOT_IMPLEMENTED) == set(MISSING)


@pytest.mark.parametrize("verb", MISSING)
def test_a_command_that_is_not_implemented_reports_that(verb, command):
    needs_argument = any(not word.startswith(("[", "-")) for word in NOT_IMPLEMENTED[verb][1:])
    outcome = command(verb, *(["x"] if needs_argument else []))
    assert outcome.code == 3
    assert outcome.err == f"error: mm-edge {verb}: not implemented yet. Available commands: mm-edge --help\n"


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_the_implemented_commands_and_no_others(argv, command):
    outcome = command(*argv)
    assert outcome.code == 0
    listed = set(re.findall(r"^│ ([a-z][a-z-]*) ", outcome.out, re.MULTILINE))
    assert listed == set(IMPLEMENTED)


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["nonsense"], "nonsense"),
        (["inspec"], "inspec"),
        (["--nonsense"], "--nonsense"),
        (["verify"], "BUNDLE"),
        (["verify", "a", "b"], "b"),
        (["verify", "a", "--nonsense"], "--nonsense"),
        (["verify", "a", "--minimum-version", "many"], "--minimum-version"),
        (["verify", "a", "--minimum-version", "-1"], "--minimum-version"),
        (["verify", "a", "--key"], "--key"),
        (["keygen"], "DIR"),
    ],
)
def test_wrong_usage_is_reported_in_one_line(argv, word, refused):
    message = refused(*argv)
    assert word in message
    assert re.search(r" See: mm-edge .*--help\n$", message)


CODES = {
    errors.WorkFailedError: 1,
    errors.UsageError: 2,
    errors.ConfigError: 2,
    errors.BundleError: 2,
    errors.InputError: 2,
    errors.UnavailableError: 3,
    errors.DeviceError: 3,
    errors.EngineError: 3,
    errors.NotImplementedYetError: 3,
    errors.SourceLostError: 1,
}


def command_that(action):
    """An application with one command that runs `action`."""

    def command(_argv):
        made = typer.Typer(callback=app._before_any_command)
        made.command("do")(action)
        return made

    return command


@pytest.mark.parametrize("kind", CODES)
def test_every_error_has_its_code_and_one_message(kind, command, monkeypatch):
    def action():
        raise kind("it was not found", action="opening it", hint="Look again")

    monkeypatch.setattr(app, "_command", command_that(action))
    assert command("do") == type(command("do"))(CODES[kind], "", "error: opening it: it was not found. Look again\n")


def test_missing_extra_names_the_command_that_helps(command, monkeypatch):
    def action():
        raise errors.MissingExtraError("torch", "export")

    monkeypatch.setattr(app, "_command", command_that(action))
    outcome = command("do")
    assert outcome.code == 3
    assert "pip install 'mm-edge[export]'" in outcome.err


def test_an_internal_error_is_reported_as_one(command, monkeypatch):
    def action():
        return 1 / 0

    monkeypatch.setattr(app, "_command", command_that(action))
    outcome = command("do")
    assert outcome.code == 1
    assert "internal error: ZeroDivisionError" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("argv", [["--debug", "do"], ["do", "--debug"]])
def test_debug_shows_the_traceback(argv, command, monkeypatch):
    def action():
        return 1 / 0

    monkeypatch.setattr(app, "_command", command_that(action))
    outcome = command(*argv)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "return 1 / 0" in outcome.err


def test_code_of_others_that_ends_the_process_is_an_error(command, monkeypatch):
    def leaves():
        raise SystemExit(0)

    monkeypatch.setattr(app, "_command", command_that(leaves))
    outcome = command("do")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: mm-edge do: SystemExit: 0\n"


def test_debug_after_two_dashes_belongs_to_the_command():
    assert app._debug_first(["run", "--", "--debug"]) == ["run", "--", "--debug"]
    assert app._debug_first(["run", "--debug", "x"]) == ["--debug", "run", "x"]


def test_interrupted_is_130(command, monkeypatch):
    def action():
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "_command", command_that(action))
    assert command("do").code == 130


def test_the_exit_code_of_a_command_is_passed_on(command, monkeypatch):
    def action():
        raise typer.Exit(1)

    monkeypatch.setattr(app, "_command", command_that(action))
    assert command("do").code == 1


WAITING = """
import signal, sys, time, typer
from mm_edge.cli import __main__, app

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background

def wait():
    print("waiting", flush=True)
    time.sleep(60)

def command(argv):
    made = typer.Typer(callback=app._before_any_command)
    made.command("wait")(wait)
    return made

app._command = command
sys.argv[1:] = ["wait"]
__main__.main()
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_real_command_with_130(stop):
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(stop)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == b""


def test_an_interrupted_command_does_not_wait_for_its_threads():
    """A check of the doctor, or a library, may be in a call that takes seconds and cannot be interrupted."""
    busy = WAITING.replace("def wait():", "def wait():\n    threading.Thread(target=time.sleep, args=(60,)).start()")
    code = f"import threading\n{busy}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == b""


def test_a_reader_that_exits_early_causes_no_message(bundle_path):
    with subprocess.Popen(
        [COMMAND, "inspect", bundle_path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr.read() == b""


def test_version(command):
    from mm_edge import __version__

    assert command("--version") == type(command("--version"))(0, f"mm-edge {__version__}\n", "")


def test_completion_is_offered(tmp_path):
    """As requested by the shell: every implemented command with that prefix."""
    requested = {
        "_MM_EDGE_COMPLETE": "complete_bash",
        "COMP_WORDS": "mm-edge in",
        "COMP_CWORD": "1",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run([COMMAND], env=requested, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["inspect"]


def test_inspect_prints_tables_and_json(bundle_path, manifest, command):
    printed = json.loads(command("inspect", bundle_path, "--json").out)
    assert printed["manifest"]["name"] == manifest.name
    assert printed["signature"] is None
    shown = command("inspect", bundle_path).out
    for word in (
        "small",
        "version 3",
        "encode_image",
        "int8-cpu",
        "driver",
        "200 ms",
        "mask",
        "stop go",
        "passed",
    ):
        assert word in shown


def test_keygen_never_writes_over_a_key(tmp_path, command, refused):
    assert command("keygen", tmp_path / "keys").code == 0
    private = tmp_path / "keys" / "mm-edge.key"
    before = private.read_bytes()
    assert private.stat().st_mode & 0o777 == 0o600
    assert "already exists" in refused("keygen", tmp_path / "keys")
    assert private.read_bytes() == before
