"""The SPECs that give numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mm_edge.runtime.sources.request import Form

FORMS: tuple[Form, ...] = ()
