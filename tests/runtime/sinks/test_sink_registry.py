"""Sinks by their SPEC, and those that installed packages add."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest
from sinks import Kept

from mm_edge.errors import UsageError
from mm_edge.runtime.sinks.registry import PLUG_INS, open_sink


def make_kept(rest):
    made = Kept()
    made.rest = rest
    return made


def test_sinks_are_found_by_name():
    assert open_sink("jsonl:run.jsonl").name == "jsonl"
    assert open_sink("null").name == "null"


def test_a_plug_in_is_handed_the_rest_of_its_spec(monkeypatch):
    point = EntryPoint("radio", f"{__name__}:make_kept", PLUG_INS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: make_kept)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: EntryPoints([point]).select(**wanted))
    assert open_sink("radio:channel 7").rest == "channel 7"
    with pytest.raises(UsageError, match=r"--sink lamp: no such sink. Use one of: jsonl:FILE, null, radio"):
        open_sink("lamp")
