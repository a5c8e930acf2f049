"""The SPECs of vector sources."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mm_edge.errors import UsageError
from mm_edge.runtime.sources.played_list import PlayedList
from mm_edge.runtime.sources.request import Form, Request, existing_file
from mm_edge.spec import VectorInput

if TYPE_CHECKING:
    from mm_edge.runtime.source import Source


def table(request: Request) -> Source:
    from .table import read_table

    if not isinstance(request.input, VectorInput):
        raise UsageError(f"input '{request.input.name}' accepts no sensor vector", action=f"opening '{request.spec}'")
    path = existing_file(request)
    load = functools.partial(read_table, path, request.input.prepare.size)
    return PlayedList("sensor", request.input.name, path.name, load, request.play)


FORMS = (Form("arm.csv", r".+\.(?:csv|jsonl)", table),)
