"""The rules of the Chrome trace event format that its viewers rely on, held against a whole document."""

from __future__ import annotations

import itertools
from collections import defaultdict

FIELDS = {"traceEvents", "displayTimeUnit", "otherData"}
NAMES, SLICE, MARK, ARROWS = "M", "X", "i", "stf"


def breaches(document):
    """Where it breaks them; a slice, a mark or an arrow there would not be shown, or in the wrong place."""
    events = document["traceEvents"]
    found = [f"a field that is not known: {field}" for field in set(document) - FIELDS]
    found += [problem for event in events if event["ph"] != NAMES for problem in _alone(event)]
    return found + _unnamed(events) + _back_in_time(events) + _overlaps(events) + _loose_arrows(events)


def _track(event):
    return event["pid"], event["tid"]


def _alone(event):
    """What is wrong with one event whatever stands beside it. B and E are not written: an X cannot be left open."""
    if event["ph"] not in {SLICE, MARK, *ARROWS}:
        yield f"a phase that is not written: {event}"
    if not (isinstance(event["ts"], (int, float)) and event["ts"] >= 0 and isinstance(event["name"], str)):
        yield f"no time or no name: {event}"
    if event["ph"] == SLICE and event["dur"] < 0:
        yield f"it ends before it begins: {event}"
    if event["ph"] == MARK and event["s"] not in {"g", "p", "t"}:
        yield f"a mark of no scope: {event}"


def _unnamed(events):
    """Processes and tracks are named before anything stands on them."""
    named, found = set(), []
    for event in events:
        if event["ph"] == NAMES:
            named.add(_track(event) if event["name"] == "thread_name" else event["pid"])
        elif not {event["pid"], _track(event)} <= named:
            found.append(f"a track without a name: {event}")
    return found


def _back_in_time(events):
    last, found = {}, []
    for event in events:
        if event["ph"] in {SLICE, MARK}:
            key = _track(event), event["ph"]
            if event["ts"] < last.get(key, 0):
                found.append(f"back in time: {event}")
            last[key] = event["ts"]
    return found


def _slices(events):
    slices = defaultdict(list)
    for event in events:
        if event["ph"] == SLICE:
            slices[_track(event)].append((event["ts"], event["ts"] + event["dur"]))
    return slices


def _overlaps(events):
    """Slices of a track lie beside or within each other."""
    return [
        f"{track}: {one} runs into {other}"
        for track, spans in _slices(events).items()
        for one, other in itertools.pairwise(sorted(spans))
        if other[0] < one[1] < other[1]
    ]


def _loose_arrows(events):
    """Each chain begins, goes on and ends, forwards in time, and every point of it touches a slice."""
    chains, slices, found = defaultdict(list), _slices(events), []
    for event in events:
        if event["ph"] in ARROWS:
            chains[event["cat"], event["name"], event["id"]].append(event)
    for key, chain in chains.items():
        if "".join(event["ph"] for event in chain) != f"s{'t' * (len(chain) - 2)}f":
            found.append(f"{key}: without a beginning or an end")
        if any(one["ts"] > other["ts"] for one, other in itertools.pairwise(chain)):
            found.append(f"{key}: back in time")
        if any(not any(a <= event["ts"] <= b for a, b in slices[_track(event)]) for event in chain):
            found.append(f"{key}: it touches no slice")
    return found
