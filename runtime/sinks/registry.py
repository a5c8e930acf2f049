"""Finds the sink for a SPEC: jsonl:FILE, null, or a plug-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.errors import UsageError

if TYPE_CHECKING:
    from mm_edge.runtime.sink import Sink

PLUG_INS = "mm_edge.sinks"  # entry points: NAME = "package:make", for the SPEC NAME or NAME:REST; make takes the REST


def open_sink(spec: str) -> Sink:
    """Creates the sink; nothing is opened before the run starts."""
    name, _, rest = spec.partition(":")
    if name == "jsonl" and not rest:
        raise UsageError("the path is empty", action="writing JSON lines", hint="Use --jsonl FILE, or --jsonl -")
    if name == "jsonl":
        from .jsonl import JsonlSink

        return JsonlSink(rest)
    if name == "null" and not rest:
        from .null import NullSink

        return NullSink()
    from importlib.metadata import entry_points  # 0.03 s that the sinks of the house do not need

    for plug_in in entry_points(group=PLUG_INS, name=name):
        made: Sink = plug_in.load()(rest)
        return made
    known = ["jsonl:FILE", "null", *sorted(entry_points(group=PLUG_INS).names)]
    raise UsageError("no such sink", action=f"--sink {spec}", hint=f"Use one of: {', '.join(known)}")
