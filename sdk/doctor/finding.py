"""One thing that was looked at: how it stands, what was found, and what to do about it."""

from __future__ import annotations

from typing import Any, Literal

from mm_edge.spec import Strict

State = Literal["good", "note", "missing", "broken"]


class Finding(Strict, frozen=True):
    """`good`: as it should be; `note`: worth knowing; `missing`: not there, which may be fine; `broken`: wrong."""

    name: str
    state: State
    found: str
    hint: str = ""
    facts: dict[str, Any] = {}
