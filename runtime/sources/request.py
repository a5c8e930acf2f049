"""The request that a source is created from, and the forms of SPEC that a family of sources accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from mm_edge.bounded_read import read_bounded
from mm_edge.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.config import SourcesConfig
    from mm_edge.runtime.source import Source
    from mm_edge.spec import InputSpec

    from .play import PlayClock


MOST_LINES_BYTES = 64 << 20  # a day of 100 sensor values a second in text is less


class Request(Struct, frozen=True):
    """A SPEC, the input to feed, and the configuration. `rest`: the number, URL or path that the form matched."""

    spec: str
    rest: str
    input: InputSpec
    config: SourcesConfig
    play: PlayClock


Make: TypeAlias = "Callable[[Request], Source]"


class Form(Struct, frozen=True):
    """One form of SPEC: `pattern` matches all of it; its group, if any, is the rest."""

    example: str
    pattern: str
    make: Make
    takes_anything: bool = False

    def rest_of(self, spec: str) -> str | None:
        match = re.fullmatch(self.pattern, spec, re.IGNORECASE)
        return None if match is None else match.group(match.lastindex or 0)


def read_lines(path: Path) -> list[bytes]:
    """The lines of a small file; raises InputError if it cannot be read."""
    try:
        return read_bounded(path, MOST_LINES_BYTES).splitlines()
    except OSError as error:
        raise InputError(f"{error.strerror}", action=f"reading {path}", hint="Check the path") from None


def existing_file(request: Request) -> Path:
    """The file that the SPEC names; raises UsageError if it is missing."""
    path = Path(request.rest)
    if not path.is_file():
        found = "the path is a folder" if path.is_dir() else "no such file"
        raise UsageError(found, action=f"opening '{request.spec}' for '{request.input.name}'", hint="Check the path")
    return path
