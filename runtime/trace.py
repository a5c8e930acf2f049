"""A trace of the run in the Chrome trace event format: open the file at https://ui.perfetto.dev or in chrome://tracing.

Every thread, source and device stream is a track, and every run of a stage a slice on it; arrows connect the slices of
one moment. Memory is bounded: the newest events are kept, and the file says how many were dropped.
"""

from __future__ import annotations

import tempfile
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from mm_edge.atomic_write import atomic_path
from mm_edge.errors import UsageError, WorkFailedError

from .clock import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NS_PER_US = NS_PER_MS // 1000
PROCESS = {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "mm-edge"}}
MOST_EVENTS = 200_000  # about 25 MB of memory and of file, 10 minutes of eleven stages at 30 moments a second


class Trace:
    """Called from any thread; an event costs about as much as a tuple. Only close() writes the file, and replaces it
    as a whole.
    """

    def __init__(self, path: Path, most_events: int = MOST_EVENTS) -> None:
        action, hint = f"writing the trace {path}", "Give a path that can be written"
        if path.exists() and not path.is_file():
            raise UsageError("it is not a file", action=action, hint=hint)
        try:
            # Tried before the run, so that a wrong path does not waste it.
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise UsageError(f"{error.strerror}", action=action, hint=hint) from None
        self._path, self._closed = path, False
        self._spans: deque[tuple[str, str, int, int, int | None]] = deque(maxlen=most_events)
        self._instants: deque[tuple[str, str, int, str]] = deque(maxlen=most_events)
        self._count = count()

    def span(self, track: str, label: str, start_ns: int, end_ns: int, moment_seq: int | None = None) -> None:
        """Something ran on `track` from `start_ns` to `end_ns` (CLOCK_MONOTONIC), for a moment if it has one."""
        next(self._count)
        self._spans.append((track, label, start_ns, end_ns, moment_seq))

    def instant(self, track: str, label: str, t_ns: int, detail: str = "") -> None:
        """Something happened on `track`: a capture, a drop, a source that was lost."""
        next(self._count)
        self._instants.append((track, label, t_ns, detail))

    def close(self) -> None:
        """Writes the file beside its place first. A second close does nothing."""
        if self._closed:
            return
        self._closed = True
        kept = len(self._spans) + len(self._instants)
        facts = {"clock": "CLOCK_MONOTONIC", "not_kept": next(self._count) - kept}
        encode = msgspec.json.Encoder().encode
        try:
            with (
                atomic_path(self._path) as partial,
                partial.open("wb") as file,
            ):  # event by event: the whole document would take 200 MB
                file.write(b'{"displayTimeUnit":"ms","otherData":' + encode(facts) + b',"traceEvents":[\n')
                file.write(encode(PROCESS))
                for event in self._events():
                    file.write(b",\n" + encode(event))
                file.write(b"\n]}\n")
        except OSError as error:
            raise WorkFailedError(f"{error.strerror}", action=f"writing the trace {self._path}") from None

    def _events(self) -> Iterator[dict[str, Any]]:
        spans = sorted(self._spans, key=lambda span: span[2])
        instants = sorted(self._instants, key=lambda instant: instant[2])
        names = sorted({span[0] for span in spans} | {instant[0] for instant in instants})
        tracks = {name: {"pid": 1, "tid": number} for number, name in enumerate(names, start=1)}
        for name, track in tracks.items():
            yield {"ph": "M", **track, "name": "thread_name", "args": {"name": name}}
        for name, label, start_ns, end_ns, moment in spans:
            args: dict[str, Any] = {} if moment is None else {"args": {"moment": moment}}
            timed = {"ts": start_ns / NS_PER_US, "dur": (end_ns - start_ns) / NS_PER_US}
            yield {"ph": "X", **tracks[name], "name": label, "cat": "stage", **timed, **args}
        for name, label, t_ns, detail in instants:
            args = {"args": {"detail": detail}} if detail else {}
            yield {"ph": "i", "s": "t", **tracks[name], "name": label, "cat": "source", "ts": t_ns / NS_PER_US, **args}
        yield from _arrows(spans, tracks)


def _arrows(
    spans: list[tuple[str, str, int, int, int | None]], tracks: dict[str, dict[str, int]]
) -> Iterator[dict[str, Any]]:
    """Connects the slices of each moment in the order in which they began; a single slice needs no arrow."""
    moments: dict[int, list[tuple[str, int]]] = {}
    for name, _, start_ns, _, moment in spans:
        if moment is not None:
            moments.setdefault(moment, []).append((name, start_ns))
    for moment, slices in moments.items():
        for place, (name, start_ns) in enumerate(slices if len(slices) > 1 else []):
            phase = "s" if place == 0 else "f" if place == len(slices) - 1 else "t"
            ends = {"bp": "e"} if phase == "f" else {}
            flow = {"ph": phase, **tracks[name], "id": moment, "ts": start_ns / NS_PER_US, **ends}
            yield {**flow, "name": "moment", "cat": "moment"}
