"""The text of a take: JSON lines such as {"t_ms": 0, "text": "the red ball"}."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mm_edge.errors import InputError
from mm_edge.runtime.clock import ms_to_ns
from mm_edge.runtime.sources.request import read_lines
from mm_edge.spec import Milliseconds, Strict

if TYPE_CHECKING:
    from pathlib import Path


class Line(Strict, frozen=True):
    """A text and its time."""

    t_ms: Milliseconds
    text: str


def read_script(path: Path) -> list[tuple[int, str]]:
    """Media time in nanoseconds and text."""
    script: list[tuple[int, str]] = []
    for number, raw in enumerate(read_lines(path), start=1):
        if not raw.strip():
            continue
        try:
            line = msgspec.json.decode(raw, type=Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            hint = 'Example of a line: {"t_ms": 0, "text": "the red ball"}'
            raise InputError(f"line {number}: {error}", action=f"reading {path}", hint=hint) from None
        media_ns = ms_to_ns(line.t_ms)
        if script and media_ns <= script[-1][0]:
            found = f"line {number}: t_ms {line.t_ms:g} is not later than in the previous line"
            raise InputError(found, action=f"reading {path}", hint="Sort the lines by t_ms")
        script.append((media_ns, line.text))
    return script
