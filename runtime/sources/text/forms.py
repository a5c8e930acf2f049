"""The SPECs of text sources."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from mm_edge.runtime.sources.request import Form, Request

if TYPE_CHECKING:
    from mm_edge.runtime.source import Source


def _lines(request: Request) -> Source:
    from .lines import TextLines

    return TextLines(request.input.name)


def _literal(request: Request) -> Source:
    from .literal import LiteralText

    return LiteralText(request.input.name, request.spec)


def script(request: Request) -> Source:
    """The text of a take."""
    from mm_edge.runtime.sources.played_list import PlayedList

    from .script import read_script

    path = Path(request.rest)
    return PlayedList("text", request.input.name, path.name, functools.partial(read_script, path), request.play)


FORMS = (
    Form("- (lines of standard input)", "-", _lines),
    Form('"the red ball"', r"(?s:.*)", _literal, takes_anything=True),
)
