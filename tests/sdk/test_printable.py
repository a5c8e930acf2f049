"""Control characters in names, labels and another machine's state never reach a terminal."""

import io
import json
import re
import threading
from pathlib import Path

import msgspec
import pytest
from small_bundle import FILES, make_manifest

from mm_edge.bundle.writer import write_bundle
from mm_edge.cli import app
from mm_edge.console import SafeConsole
from mm_edge.doctor.finding import Finding
from mm_edge.export.workspace import TerminalProgress
from mm_edge.printable import escaped_json, printable
from mm_edge.runtime.clock import MonotonicClock
from mm_edge.runtime.sinks.telemetry.status import RunView, SourceView, Tally
from mm_edge.runtime.view import watch

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\r[/x]"
ROOT = Path(__file__).parent.parent.parent
FORBIDDEN = set("\x1b\x07\x9b\u202e\r")


def shown_by(console: SafeConsole) -> str:
    return console.file.getvalue()


def test_every_control_character_becomes_a_visible_one():
    assert not set(printable(HOSTILE)) & FORBIDDEN
    assert printable("ü 文字 🙂\n\ta") == "ü 文字 🙂\n\ta"


def test_json_keeps_its_meaning():
    record = {HOSTILE: [HOSTILE, "ü 文字 🙂", "\U000e0001"]}
    text = escaped_json(json.dumps(record, ensure_ascii=False))
    assert not set(text) & FORBIDDEN
    assert json.loads(text) == record


def test_a_console_prints_its_own_styles_but_no_codes_of_others():
    console = SafeConsole(file=io.StringIO(), force_terminal=True, width=200, highlight=False)
    console.print(HOSTILE, style="bold", markup=False)
    assert shown_by(console).startswith("\x1b[1m")
    assert set(shown_by(console).replace("\x1b[1m", "").replace("\x1b[0m", "")) & FORBIDDEN == set()


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_inspect_shows_hostile_labels_harmlessly(tmp_path, capfd, words):
    manifest = make_manifest()
    outputs = tuple(
        msgspec.structs.replace(spec, labels=(HOSTILE, *spec.labels[1:])) if getattr(spec, "labels", ()) else spec
        for spec in manifest.outputs
    )
    assert outputs != manifest.outputs
    hostile = msgspec.structs.replace(manifest, outputs=outputs, description=HOSTILE, card={HOSTILE: HOSTILE})
    write_bundle(tmp_path / "x.mmb", hostile, FILES)
    assert app.run(["inspect", str(tmp_path / "x.mmb"), *words]) == 0
    shown = capfd.readouterr().out
    assert "evil" in shown
    assert not set(shown) & FORBIDDEN


def test_doctor_shows_hostile_device_names_harmlessly(capfd):
    from mm_edge.cli.commands.doctor import _print

    _print({"Cameras": [Finding(HOSTILE, "ok", HOSTILE, hint=HOSTILE)]})
    shown = capfd.readouterr().out
    assert "evil" in shown
    assert not set(shown) & FORBIDDEN


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_of_another_machine_is_harmless(monkeypatch, terminal):
    view = Tally(MonotonicClock()).view()
    values = {**msgspec.to_builtins(view), "model": HOSTILE, "health": HOSTILE, "summary": {}}
    values["outputs"], values["engine"] = {HOSTILE: HOSTILE}, {"engine": HOSTILE}
    values["sources"] = {HOSTILE: msgspec.to_builtins(SourceView(HOSTILE, HOSTILE, 0.0))}
    values["events"] = [{"t_ns": 0, "ago_s": 0.0, "source": HOSTILE, "state": HOSTILE, "detail": HOSTILE}]
    values["inputs"] = {
        HOSTILE: {"modality": "image", "name": HOSTILE, "source": HOSTILE, "state": HOSTILE, "captured": 1,
                  "seq": None, "age_ms": None, "rate_hz": None, "dropped": {HOSTILE: 1}}
    }  # fmt: skip
    monkeypatch.setattr(watch.Robot, "state", lambda _: msgspec.convert(values, RunView))
    console = SafeConsole(file=io.StringIO(), force_terminal=terminal, width=200)
    watch.watch_in_text(watch.Robot("http://robot:8700", None), console, threading.Event())
    shown = shown_by(console)
    assert "evil" in shown
    for hostile in ("]0;owned\x07", "\x1b]", "\x1b[2J\x9b", "\u202e", "\x9b"):
        assert hostile not in shown


def test_progress_shows_names_harmlessly(capfd):
    with TerminalProgress().step(HOSTILE.replace("[/x]", "")):
        pass
    shown = capfd.readouterr().err
    assert "evil" in shown
    assert not set(shown) & FORBIDDEN


def test_no_command_prints_through_an_unsafe_console():
    """A console of rich that is not ours passes control characters on."""
    for folder in ("sdk", "export", "runtime", "benchmarks/bench", "jetson"):
        for file in (ROOT / folder).rglob("*.py"):
            assert file.name == "console.py" or not re.search(r"\bConsole\(", file.read_text()), file


def test_verify_shows_the_name_of_a_file_harmlessly(tmp_path, capfd):
    path = tmp_path / HOSTILE.replace("/", "")
    write_bundle(path, make_manifest(), FILES)
    assert app.run(["verify", str(path)]) == 0
    assert not set(capfd.readouterr().out) & FORBIDDEN
