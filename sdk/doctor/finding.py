"""The result of one check: its state, what was found, and a hint."""

from __future__ import annotations

from typing import Any, Literal

from mm_edge.spec import Strict

State = Literal["ok", "warning", "missing", "error"]


class Finding(Strict, frozen=True):
    """`missing`: not available, which may be fine; `error`: installed or connected, but not usable."""

    name: str
    state: State
    found: str
    hint: str = ""
    facts: dict[str, Any] = {}
